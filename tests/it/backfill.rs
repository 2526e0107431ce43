//! Backfill: killed half-way and started again, it goes on where it was.

use std::process::Stdio;

use crate::gold::{SQL, daily};
use crate::support::EmbeddedProject;
#[cfg(feature = "failpoints")]
use crate::support::PATIENCE;

const RANGE: &str = "--from 2024-03-01 --to 2024-03-11";
const CONTENTS: &str = "SELECT * FROM gold.daily ORDER BY ALL";

async fn finished(project: &EmbeddedProject) -> u64 {
    let sql = "SELECT count() FROM ops.windows WHERE state IN ('done', 'unchanged')";
    project.ask(sql).await.parse().unwrap()
}

#[tokio::test]
async fn a_backfill_that_was_killed_goes_on_and_ends_as_if_it_had_not() {
    let uninterrupted = daily().await;
    uninterrupted
        .run(&format!("backfill daily {RANGE} --parallel 3"))
        .await
        .exits(0);
    let expected = uninterrupted.ask(CONTENTS).await;
    assert_eq!(expected.lines().count(), 30);

    let project = daily().await;
    // slow for each row read, so that the kill comes half-way
    let slow = SQL.replace("GROUP BY", "AND sleepEachRow(0.004) = 0 GROUP BY");
    project.write("jobs/gold/daily.sql", &slow);
    let mut command = project.command(&format!("backfill daily {RANGE} --parallel 1"));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    project
        .engine
        .until(
            "SELECT toUInt64(count() >= 4) FROM ops.windows WHERE state = 'done'",
            1,
        )
        .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let before = finished(&project).await;
    assert!((4..10).contains(&before), "killed half-way: {before}");

    let dry = project
        .run(&format!("backfill daily {RANGE} --dry-run --output json"))
        .await
        .exits(0)
        .json();
    let left = dry["to_build"].as_array().unwrap().len() as u64;
    assert_eq!(
        (dry["status"].as_str(), dry["windows"].as_u64()),
        (Some("planned"), Some(10))
    );
    assert!(
        left <= 10 - before && dry["finished_before"].as_u64() >= Some(before),
        "{dry}"
    );
    let resumed = project
        .run(&format!(
            "backfill daily {RANGE} --parallel 4 --output json"
        ))
        .await
        .exits(0);
    assert_eq!(
        resumed.json()["windows"].as_u64(),
        Some(left),
        "{}",
        resumed.stderr
    );
    assert_eq!(project.ask(CONTENTS).await, expected);
    let again = project
        .run(&format!("backfill daily {RANGE} --output json"))
        .await
        .exits(0);
    assert_eq!(again.json()["status"], "noop");
    assert_eq!(again.json()["finished_before"], 10);
    assert_eq!(
        project
            .ask("SELECT count() FROM system.tables WHERE database = 'gold'")
            .await,
        "1"
    );
}

#[tokio::test]
async fn windows_that_an_older_sql_built_are_built_again() {
    let project = daily().await;
    project
        .run(&format!("backfill daily {RANGE}"))
        .await
        .exits(0);
    project.write(
        "jobs/gold/daily.sql",
        &SQL.replace("sum(amount)", "sum(amount * 2)"),
    );
    let changed = project
        .run(&format!("backfill daily {RANGE} --output json"))
        .await
        .exits(0);
    assert_eq!(
        (&changed.json()["built"], &changed.json()["finished_before"]),
        (&10.into(), &0.into())
    );
    let plan = project
        .run(&format!("backfill daily {RANGE} --dry-run"))
        .await
        .exits(0);
    assert!(
        plan.stdout
            .contains("plan: 10 finished and left out, 0 to build"),
        "{}",
        plan.stdout
    );
    let rebuilt = project
        .run(&format!("backfill daily {RANGE} --rebuild --output json"))
        .await
        .exits(0);
    assert_eq!(rebuilt.json()["unchanged"], 10);
}

#[tokio::test]
async fn a_backfill_with_a_bad_window_builds_the_others_and_says_so() {
    let project = daily().await;
    let fails = SQL.replace(
        "GROUP BY",
        "AND throwIf(toDate(at) = '2024-03-04', 'no') = 0 GROUP BY",
    );
    project.write("jobs/gold/daily.sql", &fails);
    let partly = project
        .run(&format!("backfill daily {RANGE} --output json"))
        .await
        .exits(3);
    let result = partly.json();
    assert_eq!(
        (&result["built"], &result["failed"]),
        (&9.into(), &1.into())
    );
    assert!(
        result["error"]
            .as_str()
            .unwrap()
            .contains("window 2024-03-04"),
        "{result}"
    );
    project.write("jobs/gold/daily.sql", SQL);
    project.run("gold --date 2024-03-04").await.exits(0);
    assert_eq!(
        project.ask("SELECT sum(events) FROM gold.daily").await,
        "1000"
    );
}

#[tokio::test]
async fn windows_begin_no_faster_than_the_rate_however_many_may_go_on_at_a_time() {
    let project = daily().await;
    let paced = "backfill daily --from 2024-03-01 --to 2024-03-05 --parallel 4 --rate 120/m";
    let planned = project.run(&format!("{paced} --dry-run")).await.exits(0);
    assert!(
        planned
            .stdout
            .contains("4 to build, 4 at a time, no more than 120/m"),
        "{}",
        planned.stdout
    );
    project.run(paced).await.exits(0);
    // two in a second: the n-th window read its input n half seconds after the run's begin, or later; clocks may drift a little
    let early = "SELECT count(), countIf(toUnixTimestamp64Milli(input_at) < begun + before * 490) FROM (
        SELECT input_at, row_number() OVER (ORDER BY input_at) - 1 AS before, (SELECT min(toUnixTimestamp64Milli(started_at)) FROM ops.runs) AS begun
        FROM ops.windows)";
    assert_eq!(project.ask(early).await, "4\t0");
    let refused = project.run("backfill daily --last 2d --rate 10/d").await;
    assert!(
        refused.exits(2).stderr.contains("10/m"),
        "the message names a rate that is one"
    );
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_backfill_from_the_newest_that_a_signal_ends_goes_on_and_keeps_others_out_meanwhile() {
    let project = daily().await;
    // longer than a busy machine lets it sleep
    project.configure("[lease]\nttl = \"10m\"\n");
    let newest = format!("backfill daily {RANGE} --order newest --parallel 2");
    let mut first = project.stopped(&newest, "swapped:4").await;
    let other = project
        .run(&format!("backfill daily {RANGE}"))
        .await
        .exits(75);
    assert!(
        other.stderr.contains("is being built by"),
        "{}",
        other.stderr
    );
    first.signal("TERM");
    first.signal("CONT");
    assert_eq!(first.wait(PATIENCE), 143);
    let days = project
        .ask("SELECT toDayOfMonth(window_from) FROM ops.windows ORDER BY 1 DESC")
        .await;
    let days: Vec<&str> = days.lines().collect();
    assert_eq!(days[..3], ["10", "9", "8"]);
    assert!(!days.contains(&"1"), "{days:?}");
    let rest = project
        .run(&format!("backfill daily {RANGE} --output json"))
        .await
        .exits(0)
        .json();
    assert!(rest["finished_before"].as_u64() >= Some(3), "{rest}");
    let wrong = "SELECT count() FROM (SELECT * FROM gold.daily EXCEPT SELECT toDate(at) AS day, kind, count() AS events, \
sum(amount) AS total FROM events GROUP BY day, kind)";
    assert_eq!(project.ask(wrong).await, "0");
    assert_eq!(
        project.ask("SELECT sum(events) FROM gold.daily").await,
        "1000"
    );
}
