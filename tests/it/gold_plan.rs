//! `compile` and `plan` on the real engine: what they say is what a build then does, and they do none of it.

use serde_json::Value;

use crate::support::EmbeddedProject;

const RANGE: &str = "at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}";
const DAYS: &str = "--from 2024-10-01 --to 2024-10-04";

/// `daily` counts events, `report` reads what `daily` built.
async fn project() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project
        .sql("CREATE TABLE events (at DateTime64(6, 'UTC'), amount Float64) ENGINE = MergeTree ORDER BY at")
        .await;
    project
        .sql("INSERT INTO events SELECT toDateTime64('2024-10-01 00:00:00', 6, 'UTC') + number * 600, number FROM numbers(1440)")
        .await;
    let head = "grain = \"day\"\ntime_column = \"t\"\norder_by = [\"t\"]\n";
    project.write("jobs/gold/daily.toml", head);
    project.daily("count() AS n");
    let report = format!("{head}depends_on = [\"gold.daily\"]\n");
    project.write("jobs/gold/report.toml", &report);
    let day = RANGE.replace("at ", "t ");
    let sql = format!("SELECT t, n + 1 AS m FROM gold.daily WHERE {day}");
    project.write("jobs/gold/report.sql", &sql);
    project.run("migrate").await.exits(0);
    project
}

impl EmbeddedProject {
    fn daily(&self, figure: &str) {
        let sql = format!(
            "SELECT toDate(at) AS t, {figure} -- of a day\nFROM events WHERE {RANGE} GROUP BY t;\n"
        );
        self.write("jobs/gold/daily.sql", &sql);
    }

    async fn json(&self, command: &str) -> Value {
        let command = format!("{command} --output json");
        self.run(&command).await.exits(0).json()
    }
}

/// What a plan says of one job: `why` of each window, `!` before those that would be built.
fn reasons(plan: &Value, job: usize) -> Vec<String> {
    let windows = plan["jobs"][job]["windows"].as_array().unwrap();
    let reason = |window: &Value| {
        let build = if window["build"] == true { "!" } else { "" };
        format!("{build}{}", window["why"].as_str().unwrap())
    };
    windows.iter().map(reason).collect()
}

#[tokio::test]
async fn what_is_compiled_gives_the_rows_that_a_build_gives() {
    let project = project().await;
    let compiled = project
        .run("compile daily --date 2024-10-02")
        .await
        .exits(0);
    assert_eq!(compiled.stderr, "");
    let found = project.ask(&compiled.stdout).await;
    project.run("gold daily --date 2024-10-02").await.exits(0);
    assert_eq!(found, "2024-10-02\t144");
    assert_eq!(project.ask("SELECT * FROM gold.daily").await, found);

    let statements = project
        .json("compile daily --date 2024-10-03 --insert")
        .await;
    let statements = statements["windows"][0]["sql"].as_str().unwrap();
    for statement in statements.split(";\n") {
        project.sql(statement).await;
    }
    let staging = "gold.daily__staging_0_20241003";
    let found = project.ask(&format!("SELECT * FROM {staging}")).await;
    assert_eq!(found, "2024-10-03\t144");
    project.run("gold daily --date 2024-10-03").await.exits(0);
    let left = format!("EXISTS TABLE {staging}");
    assert_eq!(project.ask(&left).await, "0");
}

#[tokio::test]
async fn a_plan_names_each_windows_reason_and_is_what_is_then_built() {
    let project = project().await;
    let plan = project.json(&format!("plan {DAYS} --sql")).await;
    assert_eq!(
        (&plan["to_build"], &plan["status"]),
        (&6.into(), &"planned".into())
    );
    assert_eq!(reasons(&plan, 0), ["!never built"; 3]);
    let rows = plan["jobs"][0]["rows_to_read"].as_u64().unwrap();
    assert!(rows >= 3 * 144, "{plan}");
    let sql = plan["jobs"][0]["sql"].as_str().unwrap();
    assert!(
        sql.contains("toDateTime64('2024-10-01 00:00:00.000', 3, 'UTC')"),
        "{sql}"
    );
    let ledger = "SELECT (SELECT count() FROM ops.runs) + (SELECT count() FROM ops.windows)";
    assert_eq!(project.ask(ledger).await, "0");

    project.run(&format!("gold daily {DAYS}")).await.exits(0);
    project.run("gold report --date 2024-10-02").await.exits(0);
    assert_eq!(project.json("plan").await["status"], "noop");
    let plan = project.json(&format!("plan {DAYS} --missing")).await;
    assert_eq!(reasons(&plan, 0), ["finished"; 3]);
    assert_eq!(
        reasons(&plan, 1),
        ["!never built", "finished", "!never built"]
    );
    let again = project.json("plan daily --date 2024-10-02").await;
    assert_eq!(reasons(&again, 0), ["!asked for"]);

    project.daily("count() * 2 AS n");
    let plan = project.json("plan").await;
    assert_eq!(reasons(&plan, 0), ["!built from an older SQL"; 3]);
    // report is built only if daily then differs
    assert_eq!(reasons(&plan, 1), ["dirty if what it reads changes"]);
    let text = project.run("plan").await.exits(0).stdout;
    assert!(
        text.contains("left: dirty if what it reads changes"),
        "{text}"
    );
    assert!(
        text.contains("3 to build, 1 left as they are, about "),
        "{text}"
    );

    let built = project.json("gold --missing --dirty").await;
    assert_eq!(built["jobs"][0]["built"], 3, "{built}");
    assert_eq!(built["jobs"][1]["built"], 1, "{built}");
    assert_eq!(project.ask("SELECT m FROM gold.report").await, "289");
    // behind the jobs' backs nothing is planned
    assert_eq!(project.json("plan").await["status"], "noop");
}

#[tokio::test]
async fn a_plan_without_an_estimate_says_why_there_is_none() {
    let project = project().await;
    project.sql("DROP TABLE events").await;
    let plan = project.json("plan daily --date 2024-10-02").await;
    assert_eq!(plan["jobs"][0]["rows_to_read"], Value::Null);
    let reason = plan["jobs"][0]["not_known"].as_str().unwrap();
    assert!(reason.contains("events"), "{reason}");
    assert_eq!(reasons(&plan, 0), ["!never built"]);
}
