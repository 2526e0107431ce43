//! PostgreSQL is altered in mid stream, under load, while ingest is killed: silver equals it in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::support::program::Running;
use crate::support::{Dice, Engine, PATIENCE, Project, Source, stays, wait_for};

const ITEMS: &str = "CREATE TABLE items (id bigint PRIMARY KEY, note text, n int NOT NULL, amount numeric(6, 2) NOT NULL, score int);
    INSERT INTO items SELECT i, 'note ' || i, i, i / 4.0, NULL FROM generate_series(1, 300) i";
const JOB: &str = "topic = \"{topic}\"\nkey = [\"id\"]\nexclude = [\"score\"]\n[policy]\nnew_column = \"add\"\nmissing_column = \"null\"\n\
    [columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\nn = \"Int32\"\namount = \"Decimal(6, 2)\"\n";
/// Each is answered by changes that need it.
const ALTERATIONS: [(&str, &str, &str); 5] = [
    (
        "ALTER TABLE items ADD COLUMN at timestamp",
        "UPDATE items SET at = timestamp '2026-01-02 03:04:05.678901' + id * interval '1 microsecond' WHERE id % 3 = 0",
        "countIf(at IS NOT NULL) >= 100",
    ),
    (
        "ALTER TABLE items ALTER n TYPE bigint",
        "UPDATE items SET n = 5000000000 + id WHERE id % 2 = 0",
        "countIf(n > 5000000000) >= 150",
    ),
    (
        "ALTER TABLE items ALTER amount TYPE numeric(12, 4)",
        "UPDATE items SET amount = 12345678.1234 WHERE id % 5 = 0",
        "countIf(amount > 12345678) >= 60",
    ),
    (
        "ALTER TABLE items RENAME note TO remark",
        "UPDATE items SET remark = remark || '!' WHERE id % 7 = 0",
        "countIf(endsWith(remark, '!')) >= 42",
    ),
    (
        "ALTER TABLE items ADD COLUMN tags text[], ADD COLUMN flag boolean NOT NULL DEFAULT true, DROP COLUMN score",
        "UPDATE items SET tags = ARRAY['a', NULL, id::text] WHERE id % 2 = 1",
        "countIf(tags IS NOT NULL) >= 150 AND countIf(flag) >= 150",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn silver_follows_a_source_that_is_altered_under_load_by_its_embedded_schema() {
    follow("follow_schema", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silver_follows_a_source_that_is_altered_under_load_by_its_catalog() {
    follow("follow_catalog", false).await;
}

async fn follow(name: &str, schemas: bool) {
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    // a killed member's partitions are given to the other one soon
    project.set(
        "BULLION_KAFKA_PROPERTIES",
        "session.timeout.ms=2000,heartbeat.interval.ms=500",
    );
    let job = JOB.replace("{topic}", &source.topic("items"));
    project.write("jobs/silver/items.toml", &job);
    source.run(ITEMS).await;
    let schemas = if schemas { "true" } else { "false" };
    let settings = [("value.converter.schemas.enable", schemas)];
    source.publish(&["items"], &settings).await;
    project.succeed(&["migrate"]);
    wait_for("the topic", PATIENCE, || async {
        let peek = project.run(&["ingest", "--peek", "1"]);
        (peek.exit == 0 && peek.stdout.contains("items partition")).then_some(())
    })
    .await;
    let mut running = [start(&project), start(&project)];
    let loading = Arc::new(AtomicBool::new(true));
    let load = tokio::spawn(load(source.another().await, Arc::clone(&loading)));
    reaches(&project, &mut running, "count() >= 300").await;

    let mut dice = Dice::new(7);
    for (alteration, change, seen) in ALTERATIONS {
        source.run(alteration).await;
        source.run(change).await;
        // anywhere: before the message that needs it, in the ALTER, behind it
        stays(Duration::from_millis(dice.below(400)), || async {}).await;
        let victim = usize::try_from(dice.below(2)).unwrap();
        running[victim].0.kill().unwrap();
        running[victim].0.wait().unwrap();
        running[victim] = start(&project);
        reaches(&project, &mut running, seen).await;
    }
    loading.store(false, Ordering::Relaxed);
    load.await.unwrap();
    // what a renamed column held before, only a change brings
    source
        .run("DELETE FROM items WHERE id % 11 = 0; UPDATE items SET remark = remark || '.'")
        .await;
    let expected = source
        .rows("SELECT id, remark, n, trim_scale(amount), to_char(at, 'YYYY-MM-DD HH24:MI:SS.US'), array_to_json(tags), flag FROM items ORDER BY id")
        .await;
    let sql = format!(
        "SELECT id, remark, n, amount, at, tags, if(flag, 't', 'f') FROM {name}_silver.items ORDER BY id"
    );
    wait_for("silver to equal PostgreSQL", PATIENCE, || async {
        (project.engine.rows(&sql).await == expected).then_some(())
    })
    .await;
    assert!(
        running.iter_mut().all(Running::is_running),
        "{}",
        project.log()
    );
    drop(running);
    let types = "SELECT name, type FROM system.columns WHERE table = 'items' AND name NOT LIKE '\\_%' AND database = ";
    let types = format!("{types}'{name}_silver' ORDER BY name");
    assert_eq!(
        project.engine.rows(&types).await,
        [
            "amount\tDecimal(12, 4)",
            "at\tNullable(DateTime64(6, \\'UTC\\'))",
            "flag\tNullable(Bool)",
            "id\tInt64",
            "n\tInt64",
            "note\tNullable(String)",
            "remark\tNullable(String)",
            "tags\tNullable(String)"
        ]
    );
    let rejected = format!("SELECT count() FROM {name}_ops.dead_letters");
    assert_eq!(project.engine.number(&rejected).await, 0);
    let states = format!(
        "SELECT DISTINCT field, state FROM {name}_ops.columns WHERE state != 'seen' ORDER BY field, state"
    );
    assert_eq!(
        project.engine.rows(&states).await,
        [
            "amount\twidened",
            "at\tadded",
            "flag\tadded",
            "n\twidened",
            "note\tmissing",
            "remark\tadded",
            "tags\tadded"
        ]
    );
}

fn start(project: &Project) -> Running {
    project.start(&["ingest"])
}

/// Silver has a row count or a value that only later messages bring.
async fn reaches(project: &Project, running: &mut [Running], condition: &str) {
    let sql = format!("SELECT {condition} FROM {}_silver.items", project.name);
    let until = Instant::now() + PATIENCE;
    while project.engine.number(&sql).await != 1 {
        let all = running.iter_mut().all(Running::is_running);
        assert!(
            all && Instant::now() < until,
            "{condition}: {}",
            project.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Inserts and updates of columns that stay, until it is told to end.
async fn load(client: Client, loading: Arc<AtomicBool>) {
    let mut dice = Dice::new(3);
    while loading.load(Ordering::Relaxed) {
        let id = dice.below(1_000) + 1;
        let sql = format!(
            "INSERT INTO items (id, n, amount) VALUES ({id}, {id}, 0.25) ON CONFLICT (id) DO UPDATE SET amount = items.amount + 0.25"
        );
        client.batch_execute(&sql).await.unwrap();
    }
}
