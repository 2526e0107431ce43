//! A silver table built anew and swapped in: `bullion resync`, while ingest runs, and killed at every step.

#[cfg(feature = "failpoints")]
mod fence;
mod kafka;
mod mysql;
mod options;

use crate::support::kafka::Topic;
use crate::support::{Dice, Engine, PATIENCE, Project, Source, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A column whose value an update need not send.
const LARGE: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
big = { type = "String", toast = "keep" }
"#;

/// Rows of the source.
const ROWS: i64 = 5_000;

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
"#;

/// A table of PostgreSQL whose changes are written to the topic by hand, and its job.
async fn noted(name: &str) -> (Project, Source, Topic) {
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let topic = Topic::create(name, 3).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.write(
        "jobs/silver/notes.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    let rows = format!(
        "CREATE TABLE notes (id bigint PRIMARY KEY, note text);
         INSERT INTO notes SELECT n, 'x' FROM generate_series(1, {ROWS}) n"
    );
    source.run(&rows).await;
    topic.insert(1..ROWS + 1);
    (project, source, topic)
}

async fn update(source: &Source, topic: &Topic, id: i64, note: &str) {
    source
        .run(&format!("UPDATE notes SET note = '{note}' WHERE id = {id}"))
        .await;
    topic.change('u', id, note);
}

fn assert_equal(project: &Project) {
    let arguments = [
        "verify",
        "notes",
        "--from-postgres",
        "public.notes",
        "--patience",
        "2s",
    ];
    project.succeed(&arguments);
}

/// No table beside it is left.
async fn assert_tidy(project: &Project) {
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{}' AND name LIKE 'notes\\_versions%'",
        project.database("silver")
    );
    assert_eq!(project.engine.rows(&sql).await, ["notes_versions"]);
}

/// The table that a resync which was cut short has swapped out.
#[cfg(feature = "failpoints")]
async fn swapped_out(project: &Project) -> String {
    let silver = project.database("silver");
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{silver}' AND name LIKE 'notes\\_versions\\_shadow\\_%'"
    );
    let names = project.engine.rows(&sql).await;
    assert_eq!(names.len(), 1, "{names:?}");
    format!("{silver}.{}", names[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_built_anew_while_ingest_writes_and_readers_look() {
    let (project, source, topic) = noted("resync_live").await;
    let (project, source, topic) = (Arc::new(project), Arc::new(source), Arc::new(topic));
    let view = format!("{}.notes", project.database("silver"));
    // ghosts, and rows that are wrong
    topic.insert(6_001..6_011);
    for id in 4_000..4_010 {
        topic.change('u', id, "wrong");
    }
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    let ingest = project.start(&["ingest"]);

    let going = Arc::new(AtomicBool::new(true));
    let looks = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn({
        let (engine, going, looks) = (
            project.engine.clone(),
            Arc::clone(&going),
            Arc::clone(&looks),
        );
        let sql = format!("SELECT count() FROM {view} WHERE id <= {ROWS}");
        async move {
            while going.load(Ordering::Relaxed) {
                assert_eq!(engine.ask(&sql).await.unwrap().trim(), ROWS.to_string());
                looks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let writer = tokio::spawn({
        let (source, topic, going) = (Arc::clone(&source), Arc::clone(&topic), Arc::clone(&going));
        async move {
            let mut dice = Dice::new(3);
            let mut turn = 0;
            while going.load(Ordering::Relaxed) {
                turn += 1;
                let id = 1 + i64::try_from(dice.below(2_000)).unwrap();
                update(&source, &topic, id, &format!("turn {turn}")).await;
            }
            topic.flush();
            turn
        }
    });
    let resync = {
        let project = Arc::clone(&project);
        let work = move || {
            project.succeed(&[
                "resync",
                "notes",
                "--from-postgres",
                "public.notes",
                "--output",
                "json",
            ])
        };
        tokio::task::spawn_blocking(work).await.unwrap().json()
    };
    going.store(false, Ordering::Relaxed);
    let turns: i64 = writer.await.unwrap();
    reader.await.unwrap();
    // how often depends on the machine
    assert!(
        turns > 1 && looks.load(Ordering::Relaxed) > 1,
        "{turns} turns, {looks:?} looks"
    );
    assert_eq!(
        (&resync["rows"], &resync["removed"]),
        (&ROWS.into(), &10.into())
    );
    let last = format!("SELECT count() FROM {view} WHERE note = 'turn {turns}'");
    wait_for("the last change", PATIENCE, || async {
        (project.engine.number(&last).await == 1).then_some(())
    })
    .await;
    drop(ingest);
    assert_equal(&project);
    assert_tidy(&project).await;
    // a ghost's later change wins
    topic.change('c', 6_001, "back");
    topic.flush();
    source.run("INSERT INTO notes VALUES (6001, 'back')").await;
    project.succeed(&["ingest", "--until-caught-up"]);
    assert_equal(&project);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_resync_that_is_killed_at_any_step_goes_on_or_begins_anew() {
    let (mut project, source, topic) = noted("resync_killed").await;
    let resync = [
        "resync",
        "notes",
        "--from-postgres",
        "public.notes",
        "--patience",
        "5s",
        "--output",
        "json",
    ];
    topic.insert(6_001..6_011);
    // not read by ingest yet: where an unknown key lives cannot be known
    let early = [
        "resync",
        "notes",
        "--from-postgres",
        "public.notes",
        "--patience",
        "0s",
    ];
    assert_eq!(project.run(&early).exit, 75);
    let planned = project.succeed(&[
        "resync",
        "notes",
        "--from-postgres",
        "public.notes",
        "--dry-run",
    ]);
    assert!(
        planned.stdout.contains("notes_versions_shadow"),
        "{}",
        planned.text()
    );
    assert_tidy(&project).await;
    for (point, swapped) in [
        ("resync-begun", false),
        ("resync-filled", false),
        ("resync-swapped", true),
        ("resync-copied", true),
        ("resync-dropped", false),
    ] {
        update(&source, &topic, 1, &format!("before {point}")).await;
        topic.flush();
        project.succeed(&["ingest", "--until-caught-up"]);
        project.set("BULLION_FAILPOINT", &format!("{point}:1:kill"));
        assert_eq!(project.run(&resync).exit, -1, "{point}: killed");
        project.unset("BULLION_FAILPOINT");
        // what ingest reads after the kill goes into whichever table has the name
        update(&source, &topic, 2, &format!("after {point}")).await;
        topic.flush();
        project.succeed(&["ingest", "--until-caught-up"]);
        if point == "resync-swapped" {
            // an insert that began before the swap ends after it
            let version = bullion::column::version(1, topic.end(0).unwrap());
            let table = swapped_out(&project).await;
            let insert = format!(
                "INSERT INTO {table} (id, note, _version, _deleted, _topic, _partition) VALUES (3, 'late', {version}, 0, 't', 0)"
            );
            project.engine.ask(&insert).await.unwrap();
            source
                .run("UPDATE notes SET note = 'late' WHERE id = 3")
                .await;
        }
        let again = project.succeed(&resync).json();
        assert_eq!(again["finished_earlier"], swapped, "{point}");
        assert_equal(&project);
        assert_tidy(&project).await;
        if point == "resync-swapped" {
            topic.change('u', 3, "late");
            topic.flush();
        }
    }
    let view = format!("SELECT count() FROM {}.notes", project.database("silver"));
    assert_eq!(project.engine.number(&view).await, ROWS as u64);

    // one at a time
    project.succeed(&["ingest", "--until-caught-up"]);
    project.set("BULLION_FAILPOINT", "resync-filled:1:hold=60000");
    let holder = project.start(&resync);
    wait_for("the first one to be held", PATIENCE, || async {
        project.log().contains("fail point").then_some(())
    })
    .await;
    project.unset("BULLION_FAILPOINT");
    assert_eq!(project.run(&resync).exit, 75);
    let repair = [
        "verify",
        "notes",
        "--from-postgres",
        "public.notes",
        "--repair",
        "--patience",
        "0s",
    ];
    source
        .run("UPDATE notes SET note = 'unpublished' WHERE id = 5")
        .await;
    assert_eq!(project.run(&repair).exit, 75);
    holder.kill();
    project.succeed(&resync);
    assert_equal(&project);
    assert_tidy(&project).await;
}

/// What silver may keep is kept: rows that were deleted under `delete = "ignore"`, and rows that the source has in a shape
/// that no message holds. Keys of a kilobyte are named in statements longer than ClickHouse takes by default.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_job_keeps_and_rows_that_cannot_be_read_stay() {
    let name = "resync_kept";
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let topic = Topic::create(name, 3).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.write(
        "jobs/silver/notes.toml",
        &KEPT.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    source
        .run(&format!(
            "CREATE TABLE notes (page text PRIMARY KEY, marks int[], note text);
             INSERT INTO notes SELECT {LONG_KEY}, ARRAY[n], 'x' FROM generate_series(1, 400) n"
        ))
        .await;
    let page = |n: i64| format!("{n}-{}", "p".repeat(1_000));
    let send = |n: i64| {
        let row = serde_json::json!({"page": page(n), "marks": [n], "note": "x"});
        let change = serde_json::json!({"before": null, "after": row, "source": {}, "op": "c"});
        let key = serde_json::json!({"page": page(n)}).to_string();
        let partition = i32::try_from(n % 3).unwrap();
        topic.send(partition, Some(&key), Some(change.to_string().as_bytes()));
    };
    for n in 1..=405 {
        send(n);
    }
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    // an array of arrays has no type that Debezium sends
    source
        .run(&format!(
            "UPDATE notes SET marks = '{{{{1,2}},{{3,4}}}}' WHERE page = '{}'",
            page(7)
        ))
        .await;
    let verified = project.run(&[
        "verify",
        "notes",
        "--from-postgres",
        "public.notes",
        "--patience",
        "1s",
        "--output",
        "json",
    ]);
    let found = verified.exits(4).json();
    assert_eq!(found["differences"].as_array().unwrap().len(), 1);
    assert_eq!(found["differences"][0]["kind"], "rejected");
    assert_eq!(found["kept"], 5);
    project
        .run(&[
            "verify",
            "notes",
            "--from-postgres",
            "public.notes",
            "--repair",
            "--patience",
            "1s",
        ])
        .exits(4);

    let resynced = project
        .succeed(&[
            "resync",
            "notes",
            "--from-postgres",
            "public.notes",
            "--output",
            "json",
        ])
        .json();
    let figures =
        ["rows", "removed", "kept", "refused"].map(|name| resynced[name].as_u64().unwrap());
    assert_eq!(figures, [399, 0, 5, 1]);
    let view = format!("{}.notes", project.database("silver"));
    let sql = format!(
        "SELECT count(), countIf(marks = [7]), countIf(startsWith(page, '40')) FROM {view}"
    );
    assert_eq!(project.engine.rows(&sql).await, ["405\t1\t7"]);
    assert_tidy(&project).await;
}

const LONG_KEY: &str = "n || '-' || repeat('p', 1000)";

const KEPT: &str = r#"
topic = "{topic}"
key = ["page"]
[policy]
delete = "ignore"
[columns]
page = "String"
marks = "Array(Int32)"
note = "Nullable(String)"
"#;
