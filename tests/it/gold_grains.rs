//! Every grain and type of time column on the real engine: one window is one partition, over clock changes too.

use crate::support::{EmbeddedProject, PATIENCE};

const RANGE: &str = "{from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}";

/// An event every ten minutes of October and November 2024, some without an amount.
async fn events() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project
        .sql("CREATE TABLE events (at DateTime64(6, 'UTC'), amount Nullable(Float64)) ENGINE = MergeTree ORDER BY at")
        .await;
    project
        .sql(
            "INSERT INTO events SELECT toDateTime64('2024-10-01 00:00:00', 6, 'UTC') + number * 600, if(number % 5 = 0, NULL, number) \
FROM numbers(61 * 144)",
        )
        .await;
    project
}

impl EmbeddedProject {
    fn job(&self, name: &str, head: &str, time: &str) {
        let toml = format!("{head}\ntime_column = \"t\"\norder_by = [\"t\"]\n");
        self.write(&format!("jobs/gold/{name}.toml"), &toml);
        let sql = format!(
            "SELECT {time} AS t, count() AS n, sum(amount) AS total FROM events WHERE at >= {RANGE} GROUP BY t"
        );
        self.write(&format!("jobs/gold/{name}.sql"), &sql);
    }
}

#[tokio::test]
async fn every_grain_builds_each_of_its_windows_over_a_change_of_clocks() {
    let project = events().await;
    let berlin = "zone = \"Europe/Berlin\"";
    let hour = "toStartOfHour(toDateTime(at, 'Europe/Berlin'))";
    project.job("hourly", &format!("grain = \"hour\"\n{berlin}"), hour);
    project.job(
        "kolkata",
        "grain = \"hour\"\nzone = \"Asia/Kolkata\"",
        "toDateTime(at, 'Asia/Kolkata')",
    );
    project.job("exact", &format!("grain = \"day\"\n{berlin}"), "at");
    project.job(
        "daily32",
        &format!("grain = \"day\"\n{berlin}"),
        "toDate32(at, 'Europe/Berlin')",
    );
    project.job(
        "weekly",
        &format!("grain = \"week\"\n{berlin}"),
        "toDateTime(at, 'UTC')",
    );
    project.job(
        "weekdate",
        &format!("grain = \"week\"\n{berlin}"),
        "toDate(at, 'Europe/Berlin')",
    );
    project.job(
        "monthly",
        &format!("grain = \"month\"\n{berlin}"),
        "toDate32(at, 'Europe/Berlin')",
    );
    project.run("migrate").await.exits(0);
    assert_eq!(
        project.run("migrate").await.exits(0).stdout,
        "nothing to change\n"
    );
    // 2024-10-27 has 25 hours in Berlin
    for (job, range, windows, events) in [
        ("hourly", "--date 2024-10-27", 25, 150),
        ("kolkata", "--date 2024-10-27", 24, 144),
        ("exact", "--date 2024-10-27", 1, 150),
        ("daily32", "--from 2024-10-26 --through 2024-10-28", 3, 438),
        ("weekly", "--date 2024-10-27", 1, 7 * 144 + 6),
        (
            "weekdate",
            "--from 2024-10-21 --to 2024-11-04",
            2,
            14 * 144 + 6,
        ),
        ("monthly", "--date 2024-11-15", 1, 30 * 144),
    ] {
        let command = format!("gold {job} {range} --output json");
        let built = project.run(&command).await.exits(0).json();
        assert_eq!(
            (&built["windows"], &built["built"]),
            (&windows.into(), &windows.into()),
            "{job}: {built}"
        );
        let found = project.ask(&format!("SELECT sum(n) FROM gold.{job}")).await;
        assert_eq!(found, events.to_string(), "{job}");
        let again = project.run(&command).await.exits(0).json();
        assert_eq!(again["unchanged"], windows, "{job}: {again}");
    }
}

#[tokio::test]
async fn weeks_months_and_hours_of_every_kind_of_zone_hold_their_own_rows() {
    let project = events().await;
    let dates = "toDateTime(at, 'UTC')";
    // Havana's clocks go back at midnight, Azores' forward at midnight, St John's are half an hour off, Lord Howe's move by
    // half an hour, Apia's once left a day out
    for (job, grain, zone, range, windows) in [
        ("havana", "day", "America/Havana", "--date 2024-11-03", 1),
        ("howe", "day", "Australia/Lord_Howe", "--date 2024-10-06", 1),
        (
            "howe_week",
            "week",
            "Australia/Lord_Howe",
            "--from 2024-10-07 --to 2024-10-21",
            2,
        ),
        ("john", "hour", "America/St_Johns", "--date 2024-11-03", 25),
        (
            "month",
            "month",
            "America/Havana",
            "--from 2024-11-01 --to 2024-12-01",
            1,
        ),
    ] {
        project.job(
            job,
            &format!("grain = \"{grain}\"\nzone = \"{zone}\""),
            dates,
        );
        project.run("migrate").await.exits(0);
        let command = format!("gold {job} {range} --output json");
        let built = project.run(&command).await.exits(0).json();
        assert_eq!(built["built"], windows, "{job}: {built}");
        // ClickHouse's own word on which rows the dates hold: whole local days, the last one exclusive
        let mut bounds = range
            .split_whitespace()
            .filter(|word| word.starts_with("20"));
        let from = bounds.next().unwrap();
        let until = match bounds.next() {
            Some(to) => format!("toDate('{to}')"),
            None => format!("toDate('{from}') + 1"),
        };
        let inside = format!(
            "SELECT count() FROM events WHERE toDate(at, '{zone}') >= '{from}' AND toDate(at, '{zone}') < {until}"
        );
        let expected = project.ask(&inside).await;
        let found = project.ask(&format!("SELECT sum(n) FROM gold.{job}")).await;
        assert_eq!(found, expected, "{job}");
    }
}

#[tokio::test]
async fn a_whole_table_is_built_without_a_range_and_replaced_as_one() {
    let project = events().await;
    let head = "grain = \"table\"\norder_by = [\"hour\"]\n";
    project.write("jobs/gold/profile.toml", head);
    let sql = "SELECT toHour(at) AS hour, count() AS n FROM events GROUP BY hour";
    project.write("jobs/gold/profile.sql", sql);
    project.job("daily", "grain = \"day\"", "toDate(at)");
    project.run("migrate").await.exits(0);
    assert_eq!(
        project.run("migrate").await.exits(0).stdout,
        "nothing to change\n"
    );
    let refused = project.run("gold profile --date 2024-10-05").await.exits(2);
    assert!(
        refused.text().contains("leave the range out"),
        "{}",
        refused.text()
    );
    let built = project
        .run("gold profile --output json")
        .await
        .exits(0)
        .json();
    assert_eq!((&built["built"], &built["rows"]), (&1.into(), &24.into()));
    let again = project
        .run("gold profile --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(again["unchanged"], 1, "{again}");
    // what left the source leaves the table; beside other jobs the range is theirs
    project.sql("TRUNCATE TABLE events").await;
    project
        .sql("INSERT INTO events VALUES ('2024-10-05 07:00:00', 1)")
        .await;
    let both = project
        .run("gold --date 2024-10-05 --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(both["built"], 2, "{both}");
    assert_eq!(
        project.ask("SELECT hour, n FROM gold.profile").await,
        "7\t1"
    );
    project.sql("TRUNCATE TABLE events").await;
    project.run("gold profile").await.exits(0);
    assert_eq!(project.ask("SELECT count() FROM gold.profile").await, "0");
    let ledger =
        "SELECT window_from, window_to, partition, state FROM ops.windows WHERE job = 'profile'";
    assert_eq!(
        project.ask(ledger).await,
        "1970-01-01 00:00:00.000\t2149-01-01 00:00:00.000\tall\tdone"
    );
}

#[tokio::test]
async fn the_last_windows_take_in_those_that_a_job_looks_back_on() {
    let project = events().await;
    let head = "grain = \"day\"\nlookback = \"3d\"";
    project.job("daily", head, "toDate(at)");
    project.run("migrate").await.exits(0);
    let windows = async |range: &str| {
        let command = format!("gold daily {range} --output json");
        project.run(&command).await.exits(0).json()["windows"].clone()
    };
    assert_eq!(windows("--last 1d").await, 4);
    assert_eq!(windows("--last 2d").await, 5);
    // a range that a person names is that range
    assert_eq!(windows("--date 2024-10-05").await, 1);
    assert_eq!(windows("--date 2024-10-05 --lookback").await, 4);
    let found = project.ask("SELECT count() FROM ops.windows WHERE window_from < '2024-11-01'");
    assert_eq!(found.await, "4");
}

#[tokio::test]
async fn a_change_that_only_turns_null_into_a_value_is_a_change() {
    let project = events().await;
    project.job("daily", "grain = \"day\"", "toDate(at)");
    let nulls = "SELECT toDate(at) AS t, maxIf(amount, amount < 0) AS n, CAST(NULL, 'Nullable(Float64)') AS total FROM events WHERE at >= ";
    project.write("jobs/gold/daily.sql", &format!("{nulls}{RANGE} GROUP BY t"));
    project.run("migrate").await.exits(0);
    project.run("gold --date 2024-10-05").await.exits(0);
    let zeros = nulls.replace("CAST(NULL", "CAST(0");
    project.write("jobs/gold/daily.sql", &format!("{zeros}{RANGE} GROUP BY t"));
    let built = project
        .run("gold --date 2024-10-05 --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(built["built"], 1, "{built}");
    assert_eq!(project.ask("SELECT total FROM gold.daily").await, "0");
}

#[tokio::test]
async fn a_stale_owner_cannot_swap_once_somebody_took_over() {
    let project = events().await;
    // a slow SELECT keeps the first owner busy while its lease, which nobody renews when stopped, runs out
    project.job("daily", "grain = \"day\"", "toDate(at)");
    project.run("migrate").await.exits(0);
    let toml = std::fs::read_to_string(project.path("bullion.toml")).unwrap();
    project.write("bullion.toml", &format!("{toml}[lease]\nttl = \"1s\"\n"));
    let fast = std::fs::read_to_string(project.path("jobs/gold/daily.sql")).unwrap();
    let slow = fast.replace("count() AS n", "count() + 1000 AS n");
    project.write(
        "jobs/gold/daily.sql",
        &slow.replace(
            "FROM events",
            "FROM events CROSS JOIN numbers(3000000) AS many",
        ),
    );
    let mut command = project.command("gold --date 2024-10-05");
    let stale = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let staging = "SELECT count() FROM system.tables WHERE database = 'gold' AND name LIKE 'daily__staging_1_%'";
    project.engine.until(staging, 1).await;
    let pid = rustix::process::Pid::from_child(&stale);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    project.write("jobs/gold/daily.sql", &fast);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let next = project.run("gold --date 2024-10-05").await;
        if next.exit != 75 {
            next.exits(0);
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the silent owner kept its lease"
        );
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let ended = tokio::task::spawn_blocking(move || stale.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    // not what became of its staging
    assert_eq!(
        ended.status.code(),
        Some(75),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(project.ask("SELECT n FROM gold.daily").await, "144");
    assert_eq!(
        project.ask("SELECT state, token FROM ops.windows").await,
        "done\t2"
    );
    let failed = "SELECT count() FROM ops.windows_versions WHERE state = 'failed'";
    assert_eq!(project.ask(failed).await, "0");
}
