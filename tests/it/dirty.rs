//! Which windows of gold a change of silver makes dirty, from Kafka to the rebuilt window.

mod jobs;

use serde_json::{Value, json};

use crate::support::Source;
use crate::support::kafka::key;
use crate::support::stream::Stream;

const ORDERS: &str = r#"
topic = "{topic}"
key = ["id"]
time_column = "at"
{more}
[columns]
id = "Int64"
at = { type = "Nullable(DateTime64(3, 'UTC'))", from = "millis" }
amount = "Int64"
"#;
const DAILY: &str = r#"
grain = "day"
time_column = "day"
order_by = ["day"]
depends_on = ["silver.orders"]
"#;
const DAILY_SQL: &str = "SELECT toDate(assumeNotNull(at)) AS day, count() AS orders, sum(amount) AS total FROM {silver}.orders
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')} GROUP BY day
";
/// 2024-03-01
const FIRST: i64 = 1_709_251_200_000;
const DAY: i64 = 86_400_000;

/// Silver `orders` over a topic of the test's own and gold `daily` over it; `more` are lines of the silver job.
pub async fn orders(name: &str, partitions: i32, more: &str) -> Stream {
    let mut stream = Stream::new(name, partitions).await;
    // a member that was killed is not waited for
    stream.project.set(
        "BULLION_KAFKA_PROPERTIES",
        "session.timeout.ms=2000,heartbeat.interval.ms=500",
    );
    let project = &stream.project;
    std::fs::remove_file(project.path("jobs/silver/notes.toml")).unwrap();
    let job = ORDERS
        .replace("{topic}", &stream.topic.name)
        .replace("{more}", more);
    project.write("jobs/silver/orders.toml", &job);
    project.write("jobs/gold/daily.toml", DAILY);
    let sql = DAILY_SQL.replace("{silver}", &project.database("silver"));
    project.write("jobs/gold/daily.sql", &sql);
    project.succeed(&["migrate"]);
    stream
}

pub fn order(id: i64, at: Option<i64>, amount: i64) -> Value {
    json!({"id": id, "at": at, "amount": amount})
}

pub fn change(op: &str, before: Value, after: Value) -> String {
    json!({"before": before, "after": after, "source": {"ts_ms": 1}, "op": op, "ts_ms": 1})
        .to_string()
}

pub fn send(stream: &Stream, id: i64, value: Option<&str>) {
    stream
        .topic
        .send(0, Some(&key(id)), value.map(str::as_bytes));
}

fn put(stream: &Stream, op: &str, id: i64, day: i64) {
    let row = order(id, Some(FIRST + day * DAY + 3_600_000), 10);
    send(stream, id, Some(&change(op, Value::Null, row)));
}

/// One order a day for so many days, ingested and built.
async fn built(stream: &Stream, days: i64) {
    for day in 0..days {
        put(stream, "c", day, day);
    }
    stream.topic.flush();
    stream.ends("done");
    let to = chrono::DateTime::from_timestamp_millis(FIRST + days * DAY).unwrap();
    let to = to.format("%Y-%m-%d").to_string();
    let range = ["gold", "--from", "2024-03-01", "--to", &to];
    stream.project.succeed(&range);
}

/// What `gold --dirty` says of itself, and the days that the ledger says were built by that run.
async fn rebuild(stream: &Stream, arguments: &[&str]) -> (Value, Vec<String>) {
    let mut all = vec!["gold"];
    all.extend(arguments);
    all.extend(["--output", "json"]);
    let ran = stream.project.succeed(&all).json();
    let sql = format!(
        "SELECT toDate(window_from) FROM {0} WHERE run_id = (SELECT max(run_id) FROM {1}) ORDER BY 1",
        stream.ops("windows"),
        stream.ops("runs")
    );
    (ran, stream.engine.rows(&sql).await)
}

async fn totals(stream: &Stream) -> (Vec<String>, Vec<String>) {
    let gold = format!(
        "SELECT day, orders, total FROM {}_gold.daily ORDER BY day",
        stream.project.name
    );
    let silver = format!(
        "SELECT toDate(assumeNotNull(at)) AS day, count(), sum(amount) FROM {} WHERE at IS NOT NULL GROUP BY day ORDER BY day",
        stream.silver("orders")
    );
    (
        stream.engine.rows(&gold).await,
        stream.engine.rows(&silver).await,
    )
}

#[tokio::test]
async fn a_late_move_of_a_forty_day_old_row_makes_both_days_rebuild_and_no_other() {
    let stream = orders("dirty_move", 1, "").await;
    built(&stream, 45).await;
    let (ran, _) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(ran["status"], "noop", "{ran}");

    // order 2 of March 3rd moves to the 42nd day; without a before image
    put(&stream, "u", 2, 41);
    stream.topic.flush();
    stream.ends("done");
    let (ran, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(ran["built"], 2, "{ran}");
    assert_eq!(days, ["2024-03-03", "2024-04-11"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
    let (ran, _) = rebuild(&stream, &["daily", "--dirty"]).await;
    assert_eq!(ran["status"], "noop", "{ran}");

    // back, onward, and deleted: each day that it was in, and each only once
    put(&stream, "u", 2, 5);
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-06", "2024-04-11"]);
    send(&stream, 2, Some(&change("d", Value::Null, Value::Null)));
    send(&stream, 2, None);
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-06"]);
    // from a day to no day, and into one
    send(
        &stream,
        7,
        Some(&change("u", Value::Null, order(7, None, 1))),
    );
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-08"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
}

#[tokio::test]
async fn an_immutable_time_is_looked_up_for_deleted_rows_only() {
    let stream = orders("dirty_immutable", 1, "immutable = [\"at\"]").await;
    built(&stream, 4).await;
    put(&stream, "u", 1, 1);
    send(&stream, 3, Some(&change("d", Value::Null, Value::Null)));
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-02", "2024-03-04"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
}

#[tokio::test]
async fn where_every_message_tells_the_row_before_nothing_is_kept_or_looked_up() {
    let mut stream = orders("dirty_before", 1, "before_image = true").await;
    built(&stream, 6).await;
    let times = format!("EXISTS TABLE {}_times", stream.silver("orders"));
    assert_eq!(stream.engine.number(&times).await, 0);
    let on = |id, day| order(id, Some(FIRST + day * DAY + 3_600_000), 10);
    // twice in one block, which is collapsed to the last; a delete; an update that does not tell
    send(&stream, 1, Some(&change("u", on(1, 1), on(1, 3))));
    send(&stream, 1, Some(&change("u", on(1, 3), on(1, 5))));
    send(&stream, 2, Some(&change("d", on(2, 2), Value::Null)));
    send(&stream, 2, None);
    send(&stream, 0, Some(&change("u", Value::Null, on(0, 4))));
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(
        days,
        ["2024-03-02", "2024-03-03", "2024-03-04", "2024-03-06"]
    );
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
    let letters = format!("SELECT reason, column FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&letters).await, ["missing_image\tat"]);

    // no message tells where a repaired row was: silver does
    let source = Source::new("dirty_before").await;
    source
        .run(&format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, at timestamptz(3), amount bigint);
             INSERT INTO orders SELECT id, to_timestamp({FIRST} / 1000 + day * 86400 + 3600), 10
             FROM (VALUES (0, 0), (1, 5), (3, 1), (4, 4), (5, 5)) rows (id, day)"
        ))
        .await;
    stream.project.set("BULLION_POSTGRES_URL", &source.url());
    let verify = "verify orders --from-postgres public.orders --repair --patience 1s";
    let verify: Vec<&str> = verify.split(' ').collect();
    stream.project.succeed(&verify);
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-02", "2024-03-04"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
}

#[tokio::test]
async fn a_crash_between_the_rows_and_the_commit_leaves_no_window_behind() {
    let stream = orders("dirty_crash", 1, "").await;
    built(&stream, 8).await;
    for (day, point) in ["insert-acked", "times-entered", "touched", "before-commit"]
        .iter()
        .enumerate()
    {
        let day = i64::try_from(day).unwrap();
        put(&stream, "u", day, day + 4);
        stream.topic.flush();
        let failpoint = format!("{point}:1:kill");
        let mut ingest = stream.project.start_with(
            &["ingest", "--until-caught-up"],
            &[("BULLION_FAILPOINT", &failpoint)],
        );
        assert_eq!(ingest.wait(crate::support::PATIENCE), 137, "{point}");
        // readers see the move, and merges may take what was before it
        let sql = format!("OPTIMIZE TABLE {}_versions FINAL", stream.silver("orders"));
        stream.engine.ask(&sql).await.unwrap();
        stream.project.succeed(&["gold", "--dirty"]);
        stream.ends("done");
        stream.project.succeed(&["gold", "--dirty"]);
        let (gold, silver) = totals(&stream).await;
        assert_eq!(gold, silver, "{point}");
    }
}

#[tokio::test]
async fn a_time_that_was_seen_between_a_crash_and_the_next_block_is_not_forgotten() {
    let stream = orders("dirty_between", 1, "").await;
    built(&stream, 8).await;
    put(&stream, "u", 2, 5);
    stream.topic.flush();
    let mut ingest = stream.project.start_with(
        &["ingest", "--until-caught-up"],
        &[("BULLION_FAILPOINT", "insert-acked:1:kill")],
    );
    assert_eq!(ingest.wait(crate::support::PATIENCE), 137);
    // a build sees the row on the sixth day; then it comes again together with its next move, and is collapsed to that
    stream.project.succeed(&["gold", "--date", "2024-03-06"]);
    put(&stream, "u", 2, 7);
    stream.topic.flush();
    stream.ends("done");
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-03", "2024-03-06", "2024-03-08"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
}

#[tokio::test]
async fn replayed_messages_and_letters_repaired_rows_and_a_table_built_anew_make_their_windows_dirty()
 {
    let mut stream = orders("dirty_writers", 1, "").await;
    let source = Source::new("dirty_writers").await;
    source
        .run(&format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, at timestamptz(3), amount bigint);
             INSERT INTO orders SELECT n, to_timestamp({FIRST} / 1000 + n * 86400 + 3600), 10 FROM generate_series(0, 3) n"
        ))
        .await;
    stream.project.set("BULLION_POSTGRES_URL", &source.url());
    built(&stream, 4).await;
    let (ran, _) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(ran["windows"], 0, "{ran}");

    stream.project.succeed(&[
        "replay",
        "orders",
        "--from-offset",
        "0:1",
        "--until-offset",
        "0:3",
    ]);
    let (ran, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(ran["unchanged"], 2, "{ran}");
    assert_eq!(days, ["2024-03-02", "2024-03-03"]);

    // an amount that the column takes only after the job is corrected
    let letter = json!({"id": 1, "at": FIRST + DAY, "amount": "12"});
    send(&stream, 1, Some(&change("u", Value::Null, letter)));
    stream.topic.flush();
    stream.ends("done");
    let file = "jobs/silver/orders.toml";
    let job = std::fs::read_to_string(stream.project.path(file)).unwrap();
    let corrected = job.replace(
        "amount = \"Int64\"",
        "amount = { type = \"Int64\", cast = true }",
    );
    stream.project.write(file, &corrected);
    stream.project.succeed(&["dlq", "replay"]);
    let (ran, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!((&ran["built"], days.len()), (&1.into(), 1), "{ran}");
    assert_eq!(days, ["2024-03-02"]);

    // moved and changed behind ingest's back
    source
        .run("UPDATE orders SET at = at - interval '3 days' WHERE id = 3; UPDATE orders SET amount = 12, at = at - interval '1 h' WHERE id = 1")
        .await;
    let table = ["orders", "--from-postgres", "public.orders"];
    let mut verify = vec!["verify"];
    verify.extend(table);
    verify.extend(["--repair", "--patience", "1s"]);
    stream.project.succeed(&verify);
    let (_, days) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(days, ["2024-03-01", "2024-03-04"]);
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);

    source.run("DELETE FROM orders WHERE id = 2").await;
    let mut resync = vec!["resync"];
    resync.extend(table);
    stream.project.succeed(&resync);
    let (ran, days) = rebuild(&stream, &["--dirty"]).await;
    // a version that no merge has taken yet tells of the fourth day, too
    assert_eq!(days[..3], ["2024-03-01", "2024-03-02", "2024-03-03"]);
    assert_eq!(ran["built"], 1, "{ran}");
    let (gold, silver) = totals(&stream).await;
    assert_eq!(gold, silver);
}
