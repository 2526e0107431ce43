//! What `bullion runs` tells of runs that ended, go on, or died.

use serde_json::Value;

use crate::gold::{SQL, TOML, daily};
use crate::support::EmbeddedProject;
async fn runs(project: &EmbeddedProject) -> Vec<Value> {
    let told = project.run("runs --output json").await.exits(0).json();
    told["runs"].as_array().unwrap().clone()
}

/// `job window outcome` of each window of a run.
async fn windows(project: &EmbeddedProject, run: &str) -> Vec<String> {
    let told = project.run(&format!("runs show {run} --output json")).await;
    let told = told.exits(0).json();
    let jobs = told["jobs"].as_array().unwrap().iter();
    let each = jobs.flat_map(|job| {
        job["each"].as_array().unwrap().iter().map(|each| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let parts = [&job["job"], &each["window"], &each["outcome"]];
            parts.map(text).join(" ")
        })
    });
    each.collect()
}

#[tokio::test]
async fn a_run_tells_each_window_of_each_job_with_its_query_and_cost() {
    let project = daily().await;
    assert_eq!(runs(&project).await, Vec::<Value>::new());
    project.write(
        "jobs/gold/kinds.toml",
        &format!("depends_on = [\"gold.daily\"]\n{TOML}"),
    );
    let fails = "AND throwIf(toDate(at) = '2024-03-02', 'not this day') = 0 GROUP BY";
    project.write("jobs/gold/kinds.sql", &SQL.replace("GROUP BY", fails));
    project.run("migrate").await.exits(0);
    let built = project
        .run("gold --from 2024-03-01 --to 2024-03-03 --output json")
        .await
        .exits(3)
        .json();
    let run = built["run"].as_str().unwrap();
    let told = runs(&project).await;
    let of = |job: &str, key: &str| {
        let lines = told.iter().find(|line| line["job"] == job);
        lines.unwrap()[key].clone()
    };
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line["run"] == run), "{told:?}");
    assert_eq!(
        (of("daily", "state"), of("daily", "built")),
        ("done".into(), 2.into())
    );
    assert_eq!(
        (of("kinds", "state"), of("kinds", "built")),
        ("partial".into(), 1.into())
    );
    assert!(
        of("kinds", "error")
            .as_str()
            .unwrap()
            .contains("not this day")
    );
    assert_eq!(
        windows(&project, &run[..20]).await,
        [
            "daily 2024-03-01 done",
            "daily 2024-03-02 done",
            "kinds 2024-03-01 done",
            "kinds 2024-03-02 failed"
        ]
    );
    let costs = format!(
        "SELECT DISTINCT job, startsWith(query_id, '{run}-' || job || '-202403'), read_rows > 0, read_bytes > 0, written_rows, written_bytes > 0, \
query_seconds > 0, seconds > query_seconds FROM ops.run_windows WHERE run_id = '{run}' AND state = 'done' ORDER BY job"
    );
    let of = |job| format!("{job}\t1\t1\t1\t3\t1\t1\t1");
    assert_eq!(
        project.ask(&costs).await,
        [of("daily"), of("kinds")].join("\n")
    );
    let shown = project
        .run(&format!("runs show {run}"))
        .await
        .exits(0)
        .stdout;
    assert!(
        shown.contains("2024-03-02: ") && shown.contains("not this day"),
        "{shown}"
    );

    // the ledger forgets, the run does not
    project
        .run("gold daily --from 2024-03-01 --to 2024-03-03")
        .await
        .exits(0);
    assert_eq!(
        project.ask(&costs).await,
        [of("daily"), of("kinds")].join("\n")
    );
    project.run("runs show 0 --output json").await.exits(2);
    let unknown = project.run("runs show nothing").await.exits(2);
    assert!(
        unknown.stderr.contains("`bullion runs` lists them"),
        "{}",
        unknown.stderr
    );
}

#[tokio::test]
async fn a_run_goes_on_while_it_holds_its_lease_and_is_lost_when_it_died() {
    let project = daily().await;
    let build = "gold --from 2024-03-01 --to 2024-03-04";
    let stopped = project.stopped(build, "staging-filled:2").await;
    let told = runs(&project).await;
    let run = told[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(
        (&told[0]["state"], &told[0]["built"]),
        (&"running".into(), &1.into())
    );
    let planned = [
        "daily 2024-03-01 done",
        "daily 2024-03-02 planned",
        "daily 2024-03-03 planned",
    ];
    assert_eq!(windows(&project, &run).await, planned);

    stopped.kill();
    let left = planned.map(|window| window.replace("planned", "left"));
    assert_eq!(runs(&project).await[0]["state"], "lost");
    assert_eq!(windows(&project, &run).await, left);

    // the next one builds them all again, and takes nothing from what is known of the dead one
    project.run(build).await.exits(0);
    project
        .sql("OPTIMIZE TABLE ops.windows_versions FINAL")
        .await;
    let states: Vec<Value> = runs(&project)
        .await
        .iter()
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["done", "lost"]);
    assert_eq!(
        project
            .ask("SELECT state FROM ops.runs ORDER BY run_id")
            .await,
        "lost\ndone"
    );
    assert_eq!(windows(&project, &run).await, left);
}
