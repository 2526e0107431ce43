//! `schedule = "on-change"`: gold that follows silver by itself.

use std::process::Stdio;

use chrono::Utc;
use serde_json::Value;

use crate::dirty::{change, order, orders, send};
use crate::support::program::Running;
use crate::support::proxy::{Proxy, Weather};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

const FOLLOW: &str = "schedule = \"on-change\"\n";

/// `daily` over silver and `weekly` over `daily`, both following.
async fn followed(name: &str) -> Stream {
    let stream = orders(name, 1, "").await;
    let project = &stream.project;
    let file = "jobs/gold/daily.toml";
    let daily = std::fs::read_to_string(project.path(file)).unwrap();
    project.write(file, &format!("{FOLLOW}{daily}"));
    project.write(
        "jobs/gold/weekly.toml",
        &format!("{FOLLOW}grain = \"week\"\ntime_column = \"week\"\norder_by = [\"week\"]\ndepends_on = [\"gold.daily\"]\n"),
    );
    let sql = "SELECT toMonday(day) AS week, sum(total) AS total FROM {gold}.daily \
WHERE day >= toDate({from:DateTime64(3, 'UTC')}) AND day < toDate({to:DateTime64(3, 'UTC')}) GROUP BY week";
    project.write(
        "jobs/gold/weekly.sql",
        &sql.replace("{gold}", &project.database("gold")),
    );
    project.succeed(&["migrate"]);
    stream
}

/// Silver as days and weeks would sum it up, and what they are.
async fn state(stream: &Stream) -> (Vec<String>, Vec<String>) {
    let (silver, gold) = (stream.silver("orders"), stream.project.database("gold"));
    let wanted = format!(
        "SELECT 'day', toDate(assumeNotNull(at)) AS t, sum(amount) FROM {silver} WHERE at IS NOT NULL GROUP BY t ORDER BY t"
    );
    let wanted_weeks = format!(
        "SELECT 'week', toMonday(assumeNotNull(at)) AS t, sum(amount) FROM {silver} WHERE at IS NOT NULL GROUP BY t ORDER BY t"
    );
    let days = format!("SELECT 'day', day, total FROM {gold}.daily ORDER BY day");
    let weeks = format!("SELECT 'week', week, total FROM {gold}.weekly ORDER BY week");
    let (mut wanted, mut found) = (
        stream.engine.rows(&wanted).await,
        stream.engine.rows(&days).await,
    );
    wanted.extend(stream.engine.rows(&wanted_weeks).await);
    found.extend(stream.engine.rows(&weeks).await);
    (wanted, found)
}

async fn follows(stream: &Stream, what: &str, days: usize, weeks: usize) {
    wait_for(what, PATIENCE, || async {
        let (wanted, found) = state(stream).await;
        (wanted == found && found.len() == days + weeks).then_some(())
    })
    .await;
}

/// Readers see what a run built before it has ended: as many have.
async fn ended(stream: &Stream, runs: u64) {
    let sql = format!(
        "SELECT count() FROM {} WHERE command = 'schedule' AND state = 'done' AND scheduled_for IS NULL",
        stream.ops("runs")
    );
    wait_for("runs to end", PATIENCE, || async {
        (stream.engine.number(&sql).await >= runs).then_some(())
    })
    .await;
}

fn put(stream: &Stream, id: i64, at: i64, amount: i64) {
    let row = order(id, Some(at), amount);
    send(stream, id, Some(&change("u", Value::Null, row)));
    stream.topic.flush();
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_follows_silver_through_the_graph_whatever_clickhouse_does_meanwhile() {
    const DAY: i64 = 86_400_000;
    /// Monday, 2024-03-04
    const MONDAY: i64 = 1_709_510_400_000;
    let stream = followed("on_change").await;
    let mut proxy = Proxy::before(stream.engine.url.trim_start_matches("http://"));
    for day in 0..3 {
        put(&stream, day, MONDAY + day * DAY, 10);
    }
    let today = Utc::now().timestamp_millis();
    put(&stream, 3, today, 5);
    stream.ends("done");
    let log = std::fs::File::create(stream.project.path("log")).unwrap();
    let mut command = stream.project.command(&["schedule"]);
    command.env(
        "BULLION_CLICKHOUSE_URL",
        format!("http://{}", proxy.address),
    );
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut schedule = Running(child);

    // what was there before, the day in progress included; then a move to a week that has nothing yet
    follows(&stream, "what was there", 4, 2).await;
    put(&stream, 2, MONDAY + 9 * DAY, 10);
    stream.ends("done");
    follows(&stream, "a move", 4, 3).await;
    ended(&stream, 4).await;

    proxy.set(Weather::Down);
    put(&stream, 3, MONDAY, 7);
    stream.ends("done");
    wait_for("it to miss clickhouse", PATIENCE, || async {
        let log = stream.project.log();
        log.contains("cannot look for changes").then_some(())
    })
    .await;
    proxy.set(Weather::Clear);
    follows(&stream, "what changed meanwhile", 3, 2).await;

    ended(&stream, 6).await;
    schedule.signal("TERM");
    let asked = std::time::Instant::now();
    assert_eq!(schedule.wait(PATIENCE), 143);
    // it waits for no change, and for nothing that has to settle
    assert!(asked.elapsed() < PATIENCE / 8);
}

#[tokio::test]
async fn what_nobody_records_cannot_be_followed() {
    let stream = followed("on_change_untracked").await;
    let file = "jobs/silver/orders.toml";
    let job = std::fs::read_to_string(stream.project.path(file)).unwrap();
    stream
        .project
        .write(file, &job.replace("time_column = \"at\"\n", ""));
    let refused = stream.project.run(&["check"]).exits(2);
    assert!(
        refused.text().contains("daily.toml") && refused.text().contains("`on-change` follows"),
        "{}",
        refused.text()
    );
    assert!(!refused.text().contains("weekly.toml"));
    stream.project.write(file, &job);
    let next = stream.project.succeed(&["schedule", "--next", "2"]);
    assert_eq!(
        next.stdout.matches("on-change").count(),
        2,
        "{}",
        next.stdout
    );
}
