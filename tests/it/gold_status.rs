//! What `bullion status` says of jobs that have gaps, are stale, dirty, failing, or have died.

use serde_json::Value;

use crate::gold::{SQL, TOML, daily};
use crate::support::program::Running;
use crate::support::{EmbeddedProject, PATIENCE};

const SILVER: &str = "topic = \"shop.orders\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";

async fn status(project: &EmbeddedProject, arguments: &str) -> Value {
    let command = format!("status {arguments} --output json");
    project.run(&command).await.exits(0).json()
}

fn figures(job: &Value) -> Vec<u64> {
    let names = ["gaps", "stale", "dirty", "failing", "blocked"];
    names
        .iter()
        .map(|name| job[name].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn status_tells_gaps_stale_dirty_and_failing_windows_and_runs_that_died() {
    let project = daily().await;
    project.write(
        "jobs/gold/kinds.toml",
        &format!("depends_on = [\"gold.daily\"]\n{TOML}"),
    );
    project.write("jobs/gold/kinds.sql", SQL);
    project.run("migrate").await.exits(0);
    let told = status(&project, "").await;
    assert_eq!(told["gold"][0]["last_window"], Value::Null);
    assert_eq!(figures(&told["gold"][0]), [0; 5]);

    for range in [
        "--from 2024-03-01 --to 2024-03-03",
        "--from 2024-03-05 --to 2024-03-07",
    ] {
        project.run(&format!("gold {range}")).await.exits(0);
    }
    project
        .sql("INSERT INTO events VALUES ('2024-03-02 12:00:00', 'a', 1)")
        .await;
    project.run("gold daily --date 2024-03-02").await.exits(0);
    let fails = "AND throwIf(toDate(at) = '2024-03-06', 'not this day') = 0 GROUP BY";
    project.write("jobs/gold/daily.sql", &SQL.replace("GROUP BY", fails));
    project.run("gold daily --date 2024-03-06").await.exits(1);
    let told = status(&project, "").await;
    let (daily, kinds) = (&told["gold"][0], &told["gold"][1]);
    // the failed day was built before: no gap, and its last word is not of the old SQL
    assert_eq!(figures(daily), [2, 3, 0, 1, 0], "{daily}");
    assert_eq!(figures(kinds), [2, 0, 1, 0, 0], "{kinds}");
    assert_eq!(daily["last_window"], "2024-03-06");
    assert!(daily["behind"].as_u64().unwrap() > 100, "{daily}");

    let gaps = project.run("status kinds --gaps").await.exits(0).stdout;
    assert!(gaps.contains("2024-03-03 … 2024-03-04"), "{gaps}");
    let build = "bullion gold kinds --from 2024-03-03 --to 2024-03-05";
    assert!(
        gaps.contains(build) && !gaps.contains("gold daily"),
        "{gaps}"
    );
    project
        .run(build.strip_prefix("bullion ").unwrap())
        .await
        .exits(0);
    let told = status(&project, "--select kinds").await;
    assert_eq!(figures(&told["gold"][0]), [0, 0, 1, 0, 0]);
    assert_eq!(told["gold"].as_array().unwrap().len(), 1);

    let killed = project
        .command("gold kinds --date 2024-03-07")
        .env("BULLION_FAILPOINT", "staging-filled:1:kill")
        .spawn();
    Running(killed.unwrap()).wait(PATIENCE);
    let told = status(&project, "kinds").await;
    assert_eq!(told["gold"][0]["runs"][0]["state"], "lost");
    let shown = project.run("status kinds").await.exits(0).stdout;
    let lost = told["gold"][0]["runs"][0]["run"].as_str().unwrap();
    assert!(shown.contains(&lost[..8]), "{shown}");
}

#[tokio::test]
async fn silver_is_as_old_as_the_slowest_partition_of_its_topic() {
    let project = EmbeddedProject::new().await;
    project.write("jobs/silver/orders.toml", SILVER);
    project.run("migrate").await.exits(0);
    let unread = status(&project, "").await;
    assert_eq!(unread["silver"][0]["complete_to"], Value::Null);
    project
        .sql("INSERT INTO ops.topics VALUES ('shop.orders', 0, 'c', 't', 2)")
        .await;
    let checkpoint_of = |epoch: u64, partition: u8, time: &str| {
        format!(
            "INSERT INTO ops.checkpoints VALUES ('bullion', 'shop.orders', {partition}, 10, '{time}', {})",
            (epoch << 56) + 10
        )
    };
    let checkpoint = |partition: u8, time: &str| checkpoint_of(0, partition, time);
    project.sql(&checkpoint(0, "2024-03-05 12:00:00")).await;
    assert_eq!(
        status(&project, "").await["silver"][0]["complete_to"],
        Value::Null
    );
    project.sql(&checkpoint(1, "2024-03-05 10:00:00")).await;
    let letter = "INSERT INTO ops.dead_letters (job, topic, partition, offset, version, reason) VALUES ('orders', 'shop.orders', 0, 3, 9, 'bad_json')";
    project.sql(letter).await;
    let orders = &status(&project, "orders").await["silver"][0];
    assert_eq!(orders["complete_to"], "2024-03-05T10:00:00Z");
    assert!(orders["age_seconds"].as_i64().unwrap() > 0);
    assert_eq!(orders["dead_letters"], 1);

    // the topic was made anew with one partition: what the other had reached holds nothing back
    project
        .sql("INSERT INTO ops.topics VALUES ('shop.orders', 1, 'c', 'u', 1)")
        .await;
    project
        .sql(&checkpoint_of(1, 0, "2024-03-07 09:00:00"))
        .await;
    let orders = &status(&project, "orders").await["silver"][0];
    assert_eq!(orders["complete_to"], "2024-03-07T09:00:00Z");
}

#[tokio::test]
async fn a_window_that_was_read_before_its_end_is_not_finished_though_it_was_written_down_after_it()
{
    let project = daily().await;
    project
        .run("gold --from 2024-03-04 --to 2024-03-06")
        .await
        .exits(0);
    project
        .sql("INSERT INTO ops.windows_versions SELECT * REPLACE (version + 1 AS version, toDateTime64('2024-03-05 23:59:59', 6, 'UTC') AS input_at, \
toDateTime64('2024-03-06 00:00:02', 3, 'UTC') AS recorded_at) FROM ops.windows_versions WHERE toDate(window_from) = '2024-03-05'")
        .await;
    assert_eq!(status(&project, "daily").await["gold"][0]["stale"], 1);
    let missing = "gold daily --missing --output json";
    let built = project.run(missing).await.exits(0).json();
    assert_eq!(built["windows"], 1, "{built}");
    let built = project.run(missing).await.exits(0).json();
    assert_eq!(built["windows"], 0, "{built}");
}

#[tokio::test]
async fn of_a_target_that_was_made_anew_nothing_is_built() {
    let project = daily().await;
    project.write(
        "jobs/gold/kinds.toml",
        &format!("depends_on = [\"gold.daily\"]\n{TOML}"),
    );
    let kinds = SQL
        .replace("FROM events", "FROM gold.daily")
        .replace("toDate(at) AS", "")
        .replace("count() AS", "sum(events) AS")
        .replace("sum(amount)", "sum(total)")
        .replace("WHERE at", "WHERE day")
        .replace("AND at", "AND day");
    project.write(
        "jobs/gold/kinds.sql",
        &kinds
            .replace(
                "{from:DateTime64(3, 'UTC')}",
                "toDate({from:DateTime64(3, 'UTC')})",
            )
            .replace(
                "{to:DateTime64(3, 'UTC')}",
                "toDate({to:DateTime64(3, 'UTC')})",
            ),
    );
    project.run("migrate").await.exits(0);
    let range = "--from 2024-03-01 --to 2024-03-04";
    project.run(&format!("gold {range}")).await.exits(0);
    let held = "SELECT sum(events) FROM gold.daily";
    let before = project.ask(held).await;
    // another order is another table
    let other = TOML.replace("[\"day\", \"kind\"]", "[\"kind\", \"day\"]");
    project.write("jobs/gold/daily.toml", &other);
    let refused = project.run("gold daily --date 2024-03-01").await.exits(2);
    assert!(refused.stderr.contains("drop it"), "{}", refused.stderr);
    project.sql("DROP TABLE gold.daily SYNC").await;
    let made = project.run("migrate").await.exits(0).stdout;
    let noted = "note that 3 windows of gold job daily are to be built again: its table is gone\ncreate table gold.daily\n";
    assert_eq!(made, noted);
    assert_eq!(
        project.run("migrate").await.exits(0).stdout,
        "nothing to change\n"
    );
    let told = status(&project, "daily").await;
    assert_eq!(figures(&told["gold"][0]), [0, 0, 0, 3, 0], "{told}");
    let planned = project
        .run(&format!("backfill daily {range} --dry-run --output json"))
        .await
        .exits(0)
        .json();
    assert_eq!(planned["finished_before"], 0, "{planned}");
    let built = project
        .run("gold --missing --dirty --output json")
        .await
        .exits(0)
        .json();
    // and what depends on it has nothing new in the end
    assert_eq!(
        (&built["jobs"][0]["built"], &built["jobs"][1]["unchanged"]),
        (&3.into(), &3.into()),
        "{built}"
    );
    assert_eq!(project.ask(held).await, before);
}
