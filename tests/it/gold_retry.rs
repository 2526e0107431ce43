//! `bullion retry` builds what a run left, and nothing else.

use crate::gold::{SQL, TOML, daily};
use crate::support::program::Running;
use crate::support::{EmbeddedProject, PATIENCE};

/// Days that fail, in the SELECT.
fn failing(days: &str) -> String {
    let fails =
        format!("AND throwIf(has({days}, toString(toDate(at))), 'not this day') = 0 GROUP BY");
    SQL.replace("GROUP BY", &fails)
}

/// The newest run.
async fn run(project: &EmbeddedProject) -> String {
    project.ask("SELECT max(run_id) FROM ops.runs").await
}

/// The newest run of a command.
async fn run_by(project: &EmbeddedProject, command: &str) -> String {
    let sql = format!("SELECT max(run_id) FROM ops.runs WHERE command = '{command}'");
    project.ask(&sql).await
}

/// `job day state` of each window of the newest run.
async fn windows(project: &EmbeddedProject) -> String {
    let run = run(project).await;
    let sql = format!(
        "SELECT job || ' ' || toString(toDate(window_from)) || ' ' || state FROM ops.run_windows WHERE run_id = '{run}' ORDER BY ALL"
    );
    project.ask(&sql).await
}

#[tokio::test]
async fn what_a_killed_run_left_is_built_and_what_it_built_is_not() {
    for point in ["staging-filled", "swap-announced", "swapped"] {
        let project = daily().await;
        let child = project
            .command("gold daily --from 2024-03-01 --to 2024-03-05")
            .env("BULLION_FAILPOINT", format!("{point}:2:kill"))
            .spawn();
        assert_eq!(Running(child.unwrap()).wait(PATIENCE), 128 + 9);
        let killed = run(&project).await;
        let command = format!("retry {killed} --output json");
        let retried = project.run(&command).await.exits(0).json();
        // a swap that was cut off is made whole by whichever command comes next
        let (built, left) = match point {
            "staging-filled" => (
                3,
                "daily 2024-03-02 done\ndaily 2024-03-03 done\ndaily 2024-03-04 done",
            ),
            _ => (2, "daily 2024-03-03 done\ndaily 2024-03-04 done"),
        };
        assert_eq!(retried["built"], built, "{point}: {retried}");
        assert_eq!(windows(&project).await, left, "{point}");
        assert_eq!(
            project.ask("SELECT sum(events) FROM gold.daily").await,
            "400"
        );
        assert_eq!(
            project
                .ask(
                    "SELECT command, state FROM ops.runs WHERE command != 'repair' ORDER BY run_id"
                )
                .await,
            "gold\tlost\nretry\tdone"
        );
        for run in [killed, run(&project).await] {
            let again = project.run(&format!("retry {run} --output json")).await;
            assert_eq!(again.exits(0).json()["status"], "noop");
        }
    }
}

#[tokio::test]
async fn what_failed_is_built_again_and_then_what_waited_for_it() {
    let project = daily().await;
    project.write(
        "jobs/gold/kinds.toml",
        &format!("depends_on = [\"gold.daily\"]\n{TOML}"),
    );
    project.write("jobs/gold/kinds.sql", SQL);
    project.run("migrate").await.exits(0);
    project.write(
        "jobs/gold/daily.sql",
        &failing("['2024-03-02', '2024-03-03']"),
    );
    let failed = project
        .run("gold --from 2024-03-01 --to 2024-03-04")
        .await
        .exits(3);
    let run = run(&project).await;
    assert!(
        failed.stderr.contains(&format!("bullion retry {run}")),
        "{}",
        failed.stderr
    );
    let first = "daily 2024-03-01 done\ndaily 2024-03-02 failed\ndaily 2024-03-03 failed\n\
kinds 2024-03-01 planned\nkinds 2024-03-02 planned\nkinds 2024-03-03 planned";
    assert_eq!(windows(&project).await, first);

    // one of the two is mended by other means
    project.write("jobs/gold/daily.sql", &failing("['2024-03-03']"));
    project.run("gold daily --date 2024-03-02").await.exits(0);
    // nothing of it stands, so its one kind of failure is the exit code
    project.run(&format!("retry {run}")).await.exits(1);
    let second = "daily 2024-03-03 failed\nkinds 2024-03-01 planned\nkinds 2024-03-02 planned\nkinds 2024-03-03 planned";
    assert_eq!(windows(&project).await, second);
    project.write("jobs/gold/daily.sql", SQL);
    project.run(&format!("retry {run}")).await.exits(0);
    // the SQL is another since: what a later run built from the old one is built with the rest
    let third = "daily 2024-03-02 done\ndaily 2024-03-03 done\nkinds 2024-03-01 done\nkinds 2024-03-02 done\nkinds 2024-03-03 done";
    assert_eq!(
        windows(&project).await,
        third.replace("daily 2024-03-02 done", "daily 2024-03-02 unchanged")
    );
    let nothing = project.run(&format!("retry {run}")).await.exits(0);
    assert!(
        nothing.stdout.contains("every window of the run stands"),
        "{}",
        nothing.stdout
    );
}

/// Reads what the daily job wrote.
const KINDS: &str = "SELECT day, kind, events, total FROM gold.daily
WHERE day >= toDate({from:DateTime64(3, 'UTC')}) AND day < toDate({to:DateTime64(3, 'UTC')})
";

#[tokio::test]
async fn what_a_run_had_not_looked_for_yet_is_looked_for_and_no_more() {
    let project = daily().await;
    let kinds = format!("depends_on = [\"gold.daily\"]\n{TOML}");
    project.write("jobs/gold/kinds.toml", &kinds);
    project.write("jobs/gold/kinds.sql", KINDS);
    project.run("migrate").await.exits(0);
    project
        .run("gold --from 2024-03-01 --to 2024-03-04")
        .await
        .exits(0);
    let doubled = |sql: &str| sql.replace("sum(amount)", "sum(amount * 2)");
    project.write("jobs/gold/daily.sql", &doubled(&failing("['2024-03-02']")));
    project.run("gold --missing --dirty").await.exits(3);
    // which windows of the other job are dirty was not known yet
    let failed = "daily 2024-03-01 done\ndaily 2024-03-02 failed\ndaily 2024-03-03 done";
    assert_eq!(windows(&project).await, failed);
    let first = run(&project).await;
    project.run(&format!("retry {first}")).await.exits(1);
    assert_eq!(windows(&project).await, "daily 2024-03-02 failed");

    project.write("jobs/gold/daily.sql", &doubled(SQL));
    project.run("gold daily --date 2024-03-02").await.exits(0);
    let second = run_by(&project, "retry").await;
    let retried = project.run(&format!("retry {second}")).await.exits(0);
    assert!(
        retried.stdout.contains("kinds: 3 to build"),
        "{}",
        retried.stdout
    );
    let waited = "kinds 2024-03-01 done\nkinds 2024-03-02 done\nkinds 2024-03-03 done";
    assert_eq!(windows(&project).await, waited);
    let same = "SELECT count() FROM (SELECT * FROM gold.daily EXCEPT SELECT * FROM gold.kinds)";
    assert_eq!(project.ask(same).await, "0");
    for retried in [first, second] {
        let nothing = project.run(&format!("retry {retried} --output json")).await;
        assert_eq!(nothing.exits(0).json()["status"], "noop");
    }

    // of a range, too, only what is missing
    project.write("jobs/gold/daily.sql", &failing("['2024-03-03']"));
    project
        .run("gold --missing --from 2024-03-02 --to 2024-03-05")
        .await
        .exits(3);
    let third = run(&project).await;
    project.write("jobs/gold/daily.sql", SQL);
    project.run(&format!("retry {third}")).await.exits(0);
    let missing = "daily 2024-03-03 done\nkinds 2024-03-04 done";
    assert_eq!(windows(&project).await, missing);
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_built_again_and_one_that_never_was_neither() {
    let project = daily().await;
    let build = project
        .command("gold daily --from 2024-03-01 --to 2024-03-03")
        .env("BULLION_FAILPOINT", "staging-filled:1:stop")
        .spawn();
    let build = Running(build.unwrap());
    project
        .engine
        .until("SELECT count() FROM ops.runs WHERE state = 'running'", 1)
        .await;
    let run = run(&project).await;
    let refused = project.run(&format!("retry {run}")).await.exits(75);
    assert!(
        refused.stderr.contains("still builds gold job daily"),
        "{}",
        refused.stderr
    );
    build.kill();
    let unknown = project.run("retry nothing").await.exits(2);
    assert!(
        unknown.stderr.contains("there is no run nothing"),
        "{}",
        unknown.stderr
    );
    // whose windows are of another grain by now
    project.write(
        "jobs/gold/daily.toml",
        &TOML.replace("\"day\"\ntime", "\"month\"\ntime"),
    );
    let moved = project.run(&format!("retry {run}")).await.exits(2);
    assert!(
        moved.stderr.contains("grain or zone changed"),
        "{}",
        moved.stderr
    );
}

/// `daily` waits for silver, `kinds` reads `daily`.
async fn waiting() -> EmbeddedProject {
    let project = daily().await;
    let silver = "topic = \"shop.events\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";
    project.write("jobs/silver/events.toml", silver);
    project.write(
        "jobs/gold/daily.toml",
        &format!("depends_on = [\"silver.events\"]\n{TOML}"),
    );
    project
}

#[tokio::test]
async fn what_was_not_complete_is_built_before_what_waited_for_it() {
    let project = waiting().await;
    project.write(
        "jobs/gold/kinds.toml",
        &format!("depends_on = [\"gold.daily\"]\n{TOML}"),
    );
    project.write("jobs/gold/kinds.sql", SQL);
    project.run("migrate").await.exits(0);
    let careful = "gold --date 2024-03-05 --if-complete";
    project.run(careful).await.exits(75);
    let retry = format!("retry {} --output json", run(&project).await);
    let built = project.run(&retry).await.exits(0).json();
    assert_eq!(built["built"], 2, "{built}");
    let both = "daily 2024-03-05 done\nkinds 2024-03-05 done";
    assert_eq!(windows(&project).await, both);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn reasons_to_come_back_later_are_told_by_one_exit_code() {
    let project = waiting().await;
    project.write("jobs/gold/other.toml", TOML);
    project.write("jobs/gold/other.sql", SQL);
    project.run("migrate").await.exits(0);
    let holder = project
        .stopped("gold other --date 2024-03-06", "staging-filled:1")
        .await;
    let told = project
        .run("gold --date 2024-03-05 --if-complete --output json")
        .await
        .exits(75)
        .json();
    assert_eq!(told["status"], "failed", "{told}");
    drop(holder);
}

#[tokio::test]
async fn a_ledger_of_an_older_bullion_names_the_command_that_mends_it() {
    let project = daily().await;
    project
        .sql("ALTER TABLE ops.runs_versions DROP COLUMN search")
        .await;
    let refused = project.run("gold --date 2024-03-05").await.exits(2);
    assert!(
        refused.stderr.contains("run `bullion migrate`"),
        "{}",
        refused.stderr
    );
}
