//! Gold on the real engine: what readers see, what the ledger says, and what is refused.

use crate::support::EmbeddedProject;

pub const TOML: &str = r#"
grain = "day"
time_column = "day"
order_by = ["day", "kind"]

[[audits]]
name = "no negative sums"
sql = "SELECT * FROM {staging} WHERE total < 0"
"#;
pub const SQL: &str = "SELECT toDate(at) AS day, kind, count() AS events, sum(amount) AS total
FROM events
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}
GROUP BY day, kind
";

/// Ten days of events, 2024-03-01 to 2024-03-10, and one daily job over them.
pub async fn daily() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project.write("jobs/gold/daily.toml", TOML);
    project.write("jobs/gold/daily.sql", SQL);
    project
        .sql("CREATE TABLE events (at DateTime64(3, 'UTC'), kind LowCardinality(String), amount Nullable(Int64)) ENGINE = MergeTree ORDER BY at")
        .await;
    project
        .sql(
            "INSERT INTO events SELECT toDateTime64('2024-03-01 00:00:00', 3, 'UTC') + number * 864, ['a', 'b', 'c'][number % 3 + 1], \
if(number % 7 = 0, NULL, number) FROM numbers(1000)",
        )
        .await;
    project.run("migrate").await.exits(0);
    project
}

const PARTS: &str = "SELECT name, hash_of_all_files FROM system.parts WHERE active AND database = 'gold' ORDER BY name";
const WRONG: &str = "SELECT count() FROM (SELECT * FROM gold.daily EXCEPT SELECT toDate(at) AS day, kind, count() AS events, \
sum(amount) AS total FROM events GROUP BY day, kind)";

#[tokio::test]
async fn a_second_build_changes_no_part_of_the_target() {
    let project = daily().await;
    let again = project.run("migrate").await.exits(0);
    assert_eq!(again.stdout, "nothing to change\n");
    let first = project
        .run("gold --from 2024-03-01 --to 2024-03-11 --output json")
        .await
        .exits(0);
    assert_eq!(first.json()["built"], 10, "{}", first.stderr);
    assert_eq!(
        project
            .ask("SELECT count(), sum(events) FROM gold.daily")
            .await,
        "30\t1000"
    );
    assert_eq!(project.ask(WRONG).await, "0");
    let parts = project.ask(PARTS).await;
    assert_eq!(parts.lines().count(), 10, "{parts}");

    let second = project
        .run("gold daily --from 2024-03-01 --through 2024-03-10 --output json")
        .await
        .exits(0);
    let result = second.json();
    assert_eq!(
        (&result["built"], &result["unchanged"]),
        (&0.into(), &10.into())
    );
    assert_eq!(project.ask(PARTS).await, parts);
    let ledger =
        "SELECT state, count(), sum(rows), min(read_rows) > 0 FROM ops.windows GROUP BY state";
    assert_eq!(project.ask(ledger).await, "unchanged\t10\t30\t1");
    assert_eq!(
        project
            .ask("SELECT state, windows, built, exit FROM ops.runs ORDER BY run_id")
            .await,
        "done\t10\t10\t0\nnoop\t10\t0\t0"
    );
    let staging =
        "SELECT count() FROM system.tables WHERE database = 'gold' AND name LIKE '%staging%'";
    assert_eq!(project.ask(staging).await, "0");
}

#[tokio::test]
async fn a_window_that_becomes_empty_is_emptied() {
    let project = daily().await;
    project
        .run("gold --from 2024-03-01 --to 2024-03-04")
        .await
        .exits(0);
    assert_eq!(project.ask("SELECT count() FROM gold.daily").await, "9");
    project
        .sql(
            "ALTER TABLE events DELETE WHERE toDate(at) = '2024-03-02' SETTINGS mutations_sync = 2",
        )
        .await;
    project.run("gold --date 2024-03-02").await.exits(0);
    assert_eq!(
        project
            .ask("SELECT DISTINCT day FROM gold.daily ORDER BY day")
            .await,
        "2024-03-01\n2024-03-03"
    );
    // a window that never had a row is built too, and says so
    project.run("gold --date 2024-02-28").await.exits(0);
    let entry =
        "SELECT toDate(window_from), state, rows FROM ops.windows WHERE rows = 0 ORDER BY 1";
    assert_eq!(
        project.ask(entry).await,
        "2024-02-28\tunchanged\t0\n2024-03-02\tdone\t0"
    );
}

#[tokio::test]
async fn an_audit_that_blocks_keeps_the_old_data() {
    let project = daily().await;
    project.run("gold --date 2024-03-05").await.exits(0);
    let before = project.ask("SELECT * FROM gold.daily ORDER BY ALL").await;
    project
        .sql("INSERT INTO events VALUES ('2024-03-05 12:00:00', 'a', -1000000000)")
        .await;
    let blocked = project
        .run("gold --date 2024-03-05 --output json")
        .await
        .exits(4);
    assert_eq!(blocked.json()["blocked"], 1);
    assert!(
        blocked.stderr.contains("`no negative sums` found 1 row"),
        "{}",
        blocked.stderr
    );
    assert_eq!(
        project.ask("SELECT * FROM gold.daily ORDER BY ALL").await,
        before
    );
    assert_eq!(
        project
            .ask("SELECT state, sql_hash != '' FROM ops.windows")
            .await,
        "blocked\t1"
    );
}

#[tokio::test]
async fn rows_outside_of_their_window_fail_the_build() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.sql",
        &SQL.replace("toDate(at) AS day", "toDate(at) + 1 AS day"),
    );
    let failed = project.run("gold --date 2024-03-05").await.exits(1);
    assert!(
        failed.stderr.contains("of 1 other windows"),
        "{}",
        failed.stderr
    );
    assert_eq!(project.ask("SELECT count() FROM gold.daily").await, "0");
}

#[tokio::test]
async fn a_target_that_is_something_else_is_refused() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &TOML.replace("\"day\"\ntime", "\"month\"\ntime"),
    );
    let refused = project.run("gold --date 2024-03-05").await.exits(2);
    assert!(
        refused
            .stderr
            .contains("has PARTITION BY day, the job wants toStartOfMonth"),
        "{}",
        refused.stderr
    );
    project.run("migrate").await.exits(2);
    project.write("jobs/gold/daily.toml", TOML);
    project.write(
        "jobs/gold/daily.sql",
        &SQL.replace("sum(amount) AS total", "avg(amount) AS total"),
    );
    let refused = project.run("gold --date 2024-03-05").await.exits(2);
    assert!(
        refused
            .stderr
            .contains("has column `total` of type Nullable(Int64)"),
        "{}",
        refused.stderr
    );
    // a new column is added by migrate, and an older SQL's windows keep its default
    project.write(
        "jobs/gold/daily.sql",
        &SQL.replace("count() AS events", "count() AS events, max(at) AS latest"),
    );
    project.run("gold --date 2024-03-05").await.exits(2);
    project.run("migrate").await.exits(0);
    project.run("gold --date 2024-03-05").await.exits(0);
}

#[tokio::test]
async fn a_lease_that_is_held_is_waited_for_by_trying_again() {
    let project = daily().await;
    let folder = project.path(".bullion/leases");
    let config = bullion::config::Lease {
        place: bullion::config::LeasePlace::File { folder },
        ttl: std::time::Duration::from_secs(60),
    };
    let held = bullion::lease::Lease::acquire(&config, "gold.daily", 0)
        .await
        .unwrap();
    let refused = project.run("gold --date 2024-03-05").await.exits(75);
    assert!(
        refused.stderr.contains("gold.daily is being built by"),
        "{}",
        refused.stderr
    );
    drop(held);
    project.run("gold --date 2024-03-05").await.exits(0);
    assert_eq!(
        project
            .ask("SELECT state, exit FROM ops.runs ORDER BY run_id")
            .await,
        "lease held\t75\ndone\t0"
    );
}

#[tokio::test]
async fn a_swap_that_was_cut_off_is_verified_and_redone_first() {
    let project = daily().await;
    project
        .run("gold --from 2024-03-01 --to 2024-03-04")
        .await
        .exits(0);
    // one window's REPLACE was complete when its run died, another's left old and new rows side by side
    for day in ["2024-03-01", "2024-03-02"] {
        let entry = format!(
            "INSERT INTO ops.windows_versions SELECT * REPLACE ('swapping' AS state, version + 100 AS version) \
FROM ops.windows_versions FINAL WHERE toDate(window_from) = '{day}'"
        );
        project.sql(&entry).await;
    }
    project
        .sql("INSERT INTO gold.daily SELECT * FROM gold.daily WHERE day = '2024-03-02'")
        .await;
    project
        .sql("CREATE TABLE gold.daily__staging_1_20240302 AS gold.daily")
        .await;
    let run = project.run("gold --date 2024-03-03").await.exits(0);
    assert!(run.stderr.contains("redoing the swap"), "{}", run.stderr);
    assert_eq!(
        project
            .ask("SELECT count(), sum(events) FROM gold.daily")
            .await,
        "9\t300"
    );
    assert_eq!(
        project
            .ask("SELECT count() FROM ops.windows WHERE state = 'swapping'")
            .await,
        "0"
    );
    assert_eq!(
        project
            .ask("SELECT count() FROM system.tables WHERE database = 'gold'")
            .await,
        "1"
    );
}

#[tokio::test]
async fn a_reader_sees_the_old_total_or_the_new_one_and_nothing_else() {
    let project = daily().await;
    project
        .run("gold --from 2024-03-01 --to 2024-03-11")
        .await
        .exits(0);
    let total = "SELECT sum(events) FROM gold.daily WHERE day = '2024-03-05'";
    let mut seen = vec![project.ask(total).await];
    for round in 1..=4 {
        project
            .sql("INSERT INTO events SELECT '2024-03-05 12:00:00', 'd', number FROM numbers(50)")
            .await;
        let build = project.run("gold --date 2024-03-05");
        tokio::pin!(build);
        let ran = loop {
            tokio::select! {
                ran = &mut build => break ran,
                found = project.ask(total) => seen.push(found),
            }
        };
        ran.exits(0);
        assert_eq!(project.ask(total).await, (100 + 50 * round).to_string());
    }
    assert!(seen.len() > 20, "the reader kept reading: {}", seen.len());
    let mixed = seen
        .iter()
        .find(|total| !["100", "150", "200", "250", "300"].contains(&total.as_str()));
    assert_eq!(mixed, None);
    assert!(seen.is_sorted_by_key(|total| total.parse::<u64>().unwrap()));
}

#[tokio::test]
async fn sigterm_in_mid_query_kills_it_frees_the_lease_and_ends_in_time() {
    let project = daily().await;
    // every event a billion times: minutes of work that stops between two blocks
    let slow = SQL.replace(
        "FROM events",
        "FROM events CROSS JOIN numbers(1000000000) AS n",
    );
    project.write("jobs/gold/daily.sql", &slow);
    let child = project
        .command("gold --date 2024-03-05")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO %staging%'";
    project.engine.until(running, 1).await;
    let asked = std::time::Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        asked.elapsed() < std::time::Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(output.status.code(), Some(143));
    project.engine.until(running, 0).await;
    project.write("jobs/gold/daily.sql", SQL);
    project.run("gold --date 2024-03-05").await.exits(0);
    assert_eq!(
        project
            .ask("SELECT state, exit FROM ops.runs ORDER BY run_id")
            .await,
        "terminated\t143\ndone\t0"
    );
}

#[tokio::test]
async fn senseless_ranges_are_refused_before_any_sql() {
    let project = daily().await;
    project.write(
        "bullion.toml",
        "[clickhouse]\nurl = \"http://127.0.0.1:1\"\n",
    );
    for (range, expected) in [
        ("--date 2024-02-30", "no date of the calendar"),
        ("--from 2024-03-02 --to 2024-03-01", "is reversed"),
        ("--from 2024-03-02 --to 2024-03-02", "Airflow 3"),
        ("--from 2024-03-02", "--from needs --to or --through"),
        ("", "which windows?"),
    ] {
        let refused = project.run(&format!("gold {range}")).await.exits(2);
        assert!(
            refused.stderr.contains(expected),
            "{range}: {}",
            refused.stderr
        );
    }
    let unreachable = project.run("gold --date 2024-03-02").await.exits(1);
    assert!(
        unreachable
            .stdout
            .starts_with("daily: 1 window of one day in UTC, [2024-03-02T00:00:00Z")
    );
    project.run("gold dayly --date 2024-03-02").await.exits(2);
}
