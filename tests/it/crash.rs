//! The main job end to end on real parts, while everything that can crash does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::support::engine::OwnEngine;
use crate::support::project::Running;
use crate::support::{Dice, Engine, Project, Source, wait_for};

/// Rows that the writers insert; they update, move and delete some of them too.
const ROWS: u64 = 100_000;
const WRITERS: u64 = 4;
const KILLS_OF_INGEST: usize = 20;
const KILLS_OF_ENGINE: usize = 2;
/// What is left to read when the last process was killed, on a busy machine.
const CATCH_UP: Duration = Duration::from_secs(120);
/// Pause of a writer that has written its share.
const TRICKLE: Duration = Duration::from_millis(50);

const TABLES: &str = "
    CREATE TABLE accounts (
        region text NOT NULL,
        id bigint NOT NULL,
        owner text,
        balance numeric(14, 2) NOT NULL,
        opened_at timestamptz NOT NULL,
        changed_at timestamp,
        PRIMARY KEY (region, id)
    );
    CREATE TABLE history (
        id bigserial PRIMARY KEY,
        account bigint NOT NULL,
        delta numeric NOT NULL,
        at timestamptz NOT NULL,
        note text
    );
";

const ACCOUNTS: &str = r#"
topic = "{topic}"
key = ["region", "id"]
time_column = "opened_at"
[columns]
region = "String"
id = "Int64"
owner = "Nullable(String)"
balance = "Decimal(14, 2)"
opened_at = "DateTime64(6, 'UTC')"
changed_at = { type = "Nullable(DateTime64(6, 'UTC'))", from = "micros" }
"#;

const HISTORY: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
account = "Int64"
delta = "String"
at = "DateTime64(6, 'UTC')"
note = "Nullable(String)"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn crashes_lose_nothing() {
    let name = "crashes_lose_nothing";
    let folder = tempfile::tempdir().unwrap();
    let mut own = OwnEngine::start(folder.path().join("engine")).await;
    let project = Project::new(name, &own.engine).await;
    let source = Source::new(name).await;
    for (table, job) in [("accounts", ACCOUNTS), ("history", HISTORY)] {
        let job = job.replace("{topic}", &source.topic(table));
        project.write(&format!("jobs/silver/{table}.toml"), &job);
    }
    source.run(TABLES).await;
    source.run("INSERT INTO accounts SELECT 'snapshot', n, 'early', n, now(), NULL FROM generate_series(1, 500) n").await;
    source.publish(&["accounts", "history"], &[]).await;
    source
        .run("INSERT INTO history (account, delta, at) VALUES (1, 1, now())")
        .await;
    project.succeed(&["migrate"]);
    wait_for_topics(&project).await;

    let killing = Arc::new(AtomicBool::new(true));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = source.another().await;
        writers.push(tokio::spawn(write_like_pgbench(
            client,
            writer,
            Arc::clone(&killing),
        )));
    }
    let engine_dies_at = KILLS_OF_INGEST / (KILLS_OF_ENGINE + 1);
    let mut ingest: Running = project.start(&["ingest"]);
    for kill in 1..=KILLS_OF_INGEST {
        wait_for_progress(&project, &mut ingest).await;
        ingest.kill();
        if kill % engine_dies_at == 0 && kill / engine_dies_at <= KILLS_OF_ENGINE {
            own.kill();
            own.restart().await;
        }
        ingest = project.start(&["ingest"]);
    }
    killing.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    source
        .run("INSERT INTO history (account, delta, at, note) VALUES (0, 0, now(), 'the end')")
        .await;
    wait_for_end(&project).await;
    assert_same(&source, &project).await;

    ingest.signal("TERM");
    assert_eq!(
        ingest.wait(Duration::from_secs(4)),
        143,
        "{}",
        project.log()
    );
    let rejected = own
        .engine
        .number(&format!("SELECT count() FROM {name}_ops.dead_letters"))
        .await;
    assert_eq!(rejected, 0);
}

/// A session that inserts, updates, moves keys, deletes and rolls back: its share of the rows as fast as it can, then
/// a trickle for as long as there are processes to kill.
async fn write_like_pgbench(client: Client, writer: u64, killing: Arc<AtomicBool>) {
    let mut dice = Dice::new(writer + 7);
    let each = ROWS / WRITERS;
    let first = 1_000_000 * (writer + 1);
    let mut next = first;
    while next < first + each || killing.load(Ordering::Relaxed) {
        let many = if next < first + each {
            20 + dice.below(180)
        } else {
            1
        };
        let last = next + many - 1;
        let some = first + dice.below(next - first + 1);
        let (small, cents) = (dice.below(40), dice.below(1_000_000));
        let end = if dice.below(10) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let transaction = format!(
            "BEGIN;
             INSERT INTO accounts SELECT 'eu', n, 'o''' || n % 97, n * 1.01, now() - n * interval '1 minute', localtimestamp
                 FROM generate_series({next}, {last}) n;
             UPDATE accounts SET balance = balance + {cents} / 100.0, changed_at = localtimestamp
                 WHERE region = 'eu' AND id BETWEEN {some} AND {some} + {small};
             INSERT INTO history (account, delta, at, note)
                 VALUES ({some}, {cents} / 1000.0, now(), CASE WHEN {small} % 3 = 0 THEN NULL ELSE E'line\\n\"{small}\" ümlaut' END);
             UPDATE accounts SET region = 'us' WHERE region = 'eu' AND id = {some};
             DELETE FROM accounts WHERE region = 'us' AND id BETWEEN {some} - 3 AND {some} - 1;
             {end};"
        );
        client.batch_execute(&transaction).await.unwrap();
        if end == "COMMIT" {
            next = last + 1;
        }
        if many == 1 {
            tokio::time::sleep(TRICKLE).await;
        }
    }
}

/// Debezium has made both topics.
async fn wait_for_topics(project: &Project) {
    wait_for("both topics", Duration::from_secs(60), || async {
        let peek = project.run(&["ingest", "--peek", "1"]);
        (peek.code() == 0 && peek.stdout().contains("history partition")).then_some(())
    })
    .await;
}

/// Something new has reached silver since the call, so the kill hits a process at work.
async fn wait_for_progress(project: &Project, ingest: &mut Running) {
    let latest = |table: &str| {
        format!(
            "SELECT _partition, max(_version) AS latest FROM {}_silver.{table}_versions GROUP BY _partition",
            project.name
        )
    };
    let latest = format!(
        "SELECT sum(latest) FROM ({} UNION ALL {})",
        latest("accounts"),
        latest("history")
    );
    let before = project.engine.number(&latest).await;
    wait_for("progress of ingest", Duration::from_secs(60), || async {
        (project.engine.number(&latest).await > before).then_some(())
    })
    .await;
    assert!(ingest.is_running(), "{}", project.log());
}

async fn has_end(engine: &Engine, name: &str) -> bool {
    engine
        .number(&format!(
            "SELECT count() FROM {name}_silver.history WHERE note = 'the end'"
        ))
        .await
        == 1
}

async fn wait_for_end(project: &Project) {
    wait_for("the last row", Duration::from_secs(120), || async {
        has_end(&project.engine, &project.name).await.then_some(())
    })
    .await;
}

/// Value for value, by query.
async fn assert_same(source: &Source, project: &Project) {
    for (table, in_postgres, in_clickhouse) in [
        (
            "accounts",
            "region, id, owner, balance, (extract(epoch FROM opened_at) * 1000000)::bigint, (extract(epoch FROM changed_at) * 1000000)::bigint",
            "region, id, owner, toDecimalString(balance, 2), toUnixTimestamp64Micro(opened_at), toUnixTimestamp64Micro(changed_at)",
        ),
        (
            "history",
            "id, account, delta, (extract(epoch FROM at) * 1000000)::bigint, replace(note, E'\\n', '\\n')",
            "id, account, delta, toUnixTimestamp64Micro(at), replaceAll(note, '\n', '\\\\n')",
        ),
    ] {
        let mut expected = source
            .rows(&format!("SELECT {in_postgres} FROM {table}"))
            .await;
        expected.sort();
        let sql = format!(
            "SELECT {in_clickhouse} FROM {}_silver.{table} FORMAT TSVRaw",
            project.name
        );
        let same = async || {
            let mut found = project.engine.rows(&sql).await;
            found.sort();
            let first = expected.iter().zip(&found).find(|(a, b)| a != b);
            (
                expected.len(),
                found.len(),
                first.map(|(a, b)| format!("{a}\n{b}")),
            )
        };
        let equal = (expected.len(), expected.len(), None);
        let until = Instant::now() + CATCH_UP;
        while same().await != equal && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(
            same().await,
            equal,
            "{table}: rows in PostgreSQL, rows in silver, first difference"
        );
        assert!(
            expected.len() > 400,
            "the writers wrote {} {table}",
            expected.len()
        );
    }
}
