//! The main job end to end on real parts, while everything that can crash does.

use std::time::Duration;

use crate::support::engine::OwnEngine;
use crate::support::project::Running;
use crate::support::{Dice, Engine, Project, Source, wait_for};

/// Rows that the writers insert; they update, move and delete some of them too.
const ROWS: u64 = 100_000;
const WRITERS: u64 = 4;
const KILLS_OF_INGEST: usize = 20;
const KILLS_OF_ENGINE: usize = 2;

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
topic = "crashes_lose_nothing.public.accounts"
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
topic = "crashes_lose_nothing.public.history"
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
    project.write("jobs/silver/accounts.toml", ACCOUNTS);
    project.write("jobs/silver/history.toml", HISTORY);
    let source = Source::new(name).await;
    source.run(TABLES).await;
    source.run("INSERT INTO accounts SELECT 'snapshot', n, 'early', n, now(), NULL FROM generate_series(1, 500) n").await;
    source.publish(&["accounts", "history"], &[]).await;
    source
        .run("INSERT INTO history (account, delta, at) VALUES (1, 1, now())")
        .await;
    project.succeed(&["migrate"]);
    wait_for_topics(&project).await;

    let writers: Vec<_> = {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let client = source.another().await;
            writers.push(tokio::spawn(write_like_pgbench(client, writer)));
        }
        writers
    };
    let engine_dies_at = KILLS_OF_INGEST / (KILLS_OF_ENGINE + 1);
    let mut ingest: Running = project.start(&["ingest"]);
    for kill in 1..=KILLS_OF_INGEST {
        wait_for_progress(&project, &mut ingest).await;
        ingest.kill();
        if kill % engine_dies_at == 0 && kill / engine_dies_at <= KILLS_OF_ENGINE {
            own.kill();
            ingest = project.start(&["ingest", "--log", "warn"]);
            own.restart().await;
        } else {
            ingest = project.start(&["ingest", "--log", "warn"]);
        }
        if !ingest.is_running() {
            ingest = project.start(&["ingest", "--log", "warn"]);
        }
    }
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
    source.retire().await;
}

/// Four sessions that insert, update, move keys, delete and roll back.
async fn write_like_pgbench(client: tokio_postgres::Client, writer: u64) {
    let mut dice = Dice::new(writer + 7);
    let each = ROWS / WRITERS;
    let first = 1_000 + writer * each;
    let mut next = first;
    while next < first + each {
        let many = 20 + dice.below(180);
        let last = (next + many).min(first + each) - 1;
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
    let sql = format!(
        "SELECT sum(next_offset) FROM {}_ops.checkpoints FINAL",
        project.name
    );
    let rows = format!(
        "SELECT max(_version) + count() FROM {}_silver.accounts_versions",
        project.name
    );
    let before = (
        project.engine.number(&sql).await,
        project.engine.number(&rows).await,
    );
    wait_for("progress of ingest", Duration::from_secs(30), || async {
        let now = (
            project.engine.number(&sql).await,
            project.engine.number(&rows).await,
        );
        // no change can come any more once everything is written: then any moment is as good
        let at_end = has_end(&project.engine, &project.name).await;
        (now != before || at_end).then_some(())
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
            "id, account, delta, toUnixTimestamp64Micro(at), note",
        ),
    ] {
        let mut expected = source
            .rows(&format!("SELECT {in_postgres} FROM {table}"))
            .await;
        expected.sort();
        let sql = format!(
            "SELECT {in_clickhouse} FROM {}_silver.{table}",
            project.name
        );
        wait_for(
            &format!("{table} to be equal"),
            Duration::from_secs(60),
            || async {
                let mut found = project.engine.rows(&sql).await;
                found.sort();
                let differing = expected.iter().zip(&found).filter(|(a, b)| a != b).count();
                if expected.len() != found.len() || differing > 0 {
                    println!(
                        "{table}: {} rows in PostgreSQL, {} in silver, {differing} differ",
                        expected.len(),
                        found.len()
                    );
                }
                (expected == found).then_some(())
            },
        )
        .await;
        assert!(
            expected.len() > 400,
            "the writers wrote {} {table}",
            expected.len()
        );
    }
}
