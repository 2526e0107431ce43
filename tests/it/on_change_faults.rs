//! `schedule = "on-change"` and silver's touches without Kafka: the test writes the rows, and what ingest would note of them.

use std::process::Stdio;

use crate::support::program::Running;
#[cfg(feature = "failpoints")]
use crate::support::program::process_state;
#[cfg(feature = "failpoints")]
use crate::support::proxy::{Proxy, Weather};
use crate::support::{EmbeddedProject, PATIENCE, wait_for};

const ORDERS: &str = r#"
topic = "shop.orders"
key = ["id"]
time_column = "at"
[columns]
id = "Int64"
at = "DateTime64(3, 'UTC')"
amount = "Int64"
"#;
const DAILY: &str = r#"
grain = "day"
time_column = "day"
order_by = ["day"]
depends_on = ["silver.orders"]
schedule = "on-change"
"#;
const DAILY_SQL: &str = "SELECT toDate(at) AS day, sum(amount) AS total FROM silver.orders
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')} GROUP BY day
";
const DAY: &str = "2024-03-05 12:00:00";

async fn shop() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project.write("jobs/silver/orders.toml", ORDERS);
    project.write("jobs/gold/daily.toml", DAILY);
    project.write("jobs/gold/daily.sql", DAILY_SQL);
    project.run("migrate").await.exits(0);
    project
}

async fn put(project: &EmbeddedProject, id: i64, at: &str, amount: i64) {
    row(project, id, at, amount).await;
    project
        .sql(&format!(
            "INSERT INTO ops.touches (job, bucket) VALUES ('orders', intDiv(toUnixTimestamp('{at}', 'UTC'), 900))"
        ))
        .await;
}

async fn row(project: &EmbeddedProject, id: i64, at: &str, amount: i64) {
    project
        .sql(&format!(
            "INSERT INTO silver.orders_versions (id, at, amount, _version) VALUES ({id}, '{at}', {amount}, {id})"
        ))
        .await;
}

/// Until one answer is another.
async fn until(project: &EmbeddedProject, sql: &str, expected: &str) {
    wait_for(sql, PATIENCE, || async {
        (project.ask(sql).await == expected).then_some(())
    })
    .await;
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_clickhouse_cut_off_is_redone_when_it_is_back_though_nothing_changes() {
    let project = shop().await;
    put(&project, 1, DAY, 5).await;
    // an event of the future is no reason to build until then
    put(&project, 2, "2148-01-01 00:00:00", 7).await;
    let mut proxy = Proxy::before(project.engine.child.url.trim_start_matches("http://"));
    let mut command = project.command("schedule");
    command
        .env(
            "BULLION_CLICKHOUSE_URL",
            format!("http://{}", proxy.address),
        )
        .env("BULLION_FAILPOINT", "swap-announced:1:stop")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(project.path("log")).unwrap());
    let mut schedule = Running(command.spawn().unwrap());
    let pid = schedule.0.id();
    wait_for("it to announce the swap", PATIENCE, || async {
        (process_state(pid) == Some('T')).then_some(())
    })
    .await;
    proxy.set(Weather::Down);
    schedule.signal("CONT");
    wait_for("it to give up", PATIENCE, || async {
        let log = std::fs::read_to_string(project.path("log")).unwrap();
        log.contains("not built, trying again").then_some(())
    })
    .await;
    let state = "SELECT toDate(window_from), state FROM ops.windows";
    assert_eq!(project.ask(state).await, "2024-03-05\tswapping");
    proxy.set(Weather::Clear);
    until(&project, "SELECT total FROM gold.daily", "5").await;
    until(&project, state, "2024-03-05\tdone").await;
    schedule.signal("TERM");
    assert_eq!(schedule.wait(PATIENCE), 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_builds_of_a_job_lie_seconds_however_soon_its_input_changes() {
    let project = shop().await;
    let mut command = project.command("schedule");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let schedule = Running(command.spawn().unwrap());
    let ended = "SELECT count() FROM ops.runs WHERE state = 'done'";
    for run in 1..=3 {
        // each at the very end of the build before it
        put(&project, run, DAY, 1).await;
        until(&project, ended, &run.to_string()).await;
    }
    drop(schedule);
    // five, and a clock may be read a little earlier
    let close = "SELECT count() FROM (SELECT started_at, lagInFrame(finished_at) OVER (ORDER BY started_at) AS before FROM ops.runs) \
WHERE before > toDateTime(0) AND started_at < before + INTERVAL 4 SECOND";
    assert_eq!(project.ask(close).await, "0");
    assert_eq!(project.ask("SELECT total FROM gold.daily").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_made_anew_is_built_though_nothing_changes() {
    let project = shop().await;
    put(&project, 1, DAY, 5).await;
    let mut command = project.command("schedule");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _schedule = Running(command.spawn().unwrap());
    until(&project, "SELECT state FROM ops.runs", "done").await;
    project.sql("DROP TABLE gold.daily SYNC").await;
    project.run("migrate").await.exits(0);
    until(&project, "SELECT total FROM gold.daily", "5").await;
}

/// Every message tells the row before, so nothing is kept of the rows' times: only the mark knows since when they are told.
#[tokio::test]
async fn a_time_column_that_is_declared_later_makes_what_was_built_before_dirty() {
    let project = shop().await;
    let file = "jobs/silver/orders.toml";
    let told = ORDERS.replace("time_column", "before_image = true\ntime_column");
    let untold = told.replace("time_column = \"at\"\n", "");
    let daily = DAILY.replace("schedule = \"on-change\"", "");
    project.write("jobs/gold/daily.toml", &daily);
    let whole = "grain = \"table\"\norder_by = [\"total\"]\ndepends_on = [\"silver.orders\"]\n";
    project.write("jobs/gold/whole.toml", whole);
    let sum = "SELECT sum(amount) AS total FROM silver.orders\n";
    project.write("jobs/gold/whole.sql", sum);
    project.write("orders.csv", "id,at,amount\n9,2024-03-07 12:00:00,1\n");
    let fill = "backfill orders --source csv --file orders.csv";
    let refused = async || {
        let refused = project.run(fill).await.exits(2).stderr;
        assert!(refused.contains("run `bullion migrate`"), "{refused}");
    };
    // nobody writes on either side of the line before it is drawn
    project.write(file, &untold);
    refused().await;
    project.run("migrate").await.exits(0);
    row(&project, 1, DAY, 5).await;
    row(&project, 2, "2024-03-06 12:00:00", 3).await;
    project
        .run("gold --from 2024-03-04 --to 2024-03-08")
        .await
        .exits(0);
    row(&project, 3, DAY, 2).await;
    project
        .sql("ALTER TABLE silver.orders_versions DELETE WHERE id = 2 SETTINGS mutations_sync = 2")
        .await;
    project.write(file, &told);
    refused().await;
    // what somebody tells from now on is no sign that all was told
    put(&project, 4, "2024-03-01 12:00:00", 1).await;
    let noted = project.run("migrate").await.exits(0).stdout;
    for what in [
        "note in ops.touches where the rows of silver.orders are",
        "note in ops.touches which windows were built from orders",
    ] {
        assert!(noted.contains(what), "{noted}");
    }
    let again = project.run("migrate").await.exits(0).stdout;
    assert_eq!(again, "nothing to change\n");
    project.run("gold --dirty").await.exits(0);
    let days = "SELECT day, total FROM gold.daily";
    assert_eq!(project.ask(days).await, "2024-03-05\t7");
    assert_eq!(project.ask("SELECT total FROM gold.whole").await, "8");
    // the one window of a whole table begins in 1970, which is no day of the others
    let first = "SELECT toDate(min(window_from)) FROM ops.windows WHERE job = 'daily'";
    assert_eq!(project.ask(first).await, "2024-03-04");
    let filled = project.run(fill).await.exits(0).stdout;
    assert!(filled.contains("1 rows written"), "{filled}");
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn lines_that_a_killed_backfill_wrote_and_did_not_tell_are_told_by_the_next_one() {
    let project = shop().await;
    let daily = DAILY.replace("schedule = \"on-change\"", "");
    project.write("jobs/gold/daily.toml", &daily);
    project.write("orders.csv", "id,at,amount\n1,2024-03-05 12:00:00,5\n");
    let fill = "backfill orders --source csv --file orders.csv";
    // told before, and seen after a build has read
    let mut killed = project
        .stopped(fill, "insert-acked:1:kill,before-insert:1")
        .await;
    project.run("gold --date 2024-03-05").await.exits(0);
    killed.signal("CONT");
    assert_eq!(killed.wait(PATIENCE), 137);
    let rows = "SELECT count() FROM silver.orders";
    assert_eq!(project.ask(rows).await, "1");
    project.run(fill).await.exits(0);
    project.run("gold --dirty").await.exits(0);
    assert_eq!(project.ask("SELECT total FROM gold.daily").await, "5");
}
