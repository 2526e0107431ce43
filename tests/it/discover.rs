//! Topics that appear are told with the command that makes their job, or taken up from their first message.

use crate::support::kafka::{Topic, change, change_with_schema, key};
use crate::support::lying_front::{About, Lie, LyingFront};
use crate::support::{Engine, PATIENCE, Project, Source, wait_for};

/// A project whose configuration looks at these topics, and that has no job yet.
async fn project(name: &str, topics: &str, mode: &str) -> Project {
    let project = Project::new(name, &Engine::of_stack()).await;
    let text = format!("[discover]\ntopics = '{topics}'\nmode = \"{mode}\"\n");
    project.write("bullion.toml", &text);
    project.succeed(&["migrate"]);
    project
}

/// Topics of this run of the test.
fn of_this_run(prefix: &str) -> String {
    format!("{prefix}\\..*\\.{}", std::process::id())
}

fn in_table(value: &str, table: &str) -> String {
    let source = format!(r#""source":{{"schema":"public","table":"{table}","#);
    value.replace(r#""source":{"#, &source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_a_job_is_reported_once_with_its_command() {
    let project = project("discover_report", &of_this_run("discover_report"), "report").await;
    let orders = Topic::create("discover_report.public.orders", 2).await;
    let beside = Topic::create("discover_report.beside", 1).await;
    let empty = Topic::create("discover_report.empty", 1).await;
    let elsewhere = Topic::create("not_discover_report.public.x", 1).await;
    for (topic, value) in [
        (
            &beside,
            r#"{"status":"BEGIN","id":"5","ts_ms":1}"#.to_owned(),
        ),
        (&elsewhere, change('c', 1, "a")),
        (&orders, in_table(&change('c', 1, "a"), "it's; rm -rf")),
    ] {
        topic.send(0, Some(&key(1)), Some(value.as_bytes()));
        topic.flush();
    }
    let ended = project
        .run(&["ingest", "--until-caught-up", "--output", "json"])
        .exits(0);
    let found = &ended.json()["new_topics"];
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["topic"], orders.name.as_str());
    let command = format!(
        "bullion new silver it_s__rm__rf --from-postgres 'public.it'\\''s; rm -rf' --topic {}",
        orders.name
    );
    assert_eq!(found[0]["command"], command.as_str());
    assert!(found[0]["job"].is_null());
    assert_eq!(
        ended.stderr.matches("no job takes it").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(!project.path("jobs/silver/it_s__rm__rf.toml").exists());
    drop(empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_appears_is_made_and_ingested_from_its_first_message() {
    let mut project = project("discover_auto", &of_this_run("discover_auto"), "auto").await;
    // a job that was there before starts at the end; a table that appears has nothing before its first message
    project.set("BULLION_KAFKA_FIRST_START", "latest");
    let mut ingest = project.start(&["ingest"]);
    let name = format!("discover_auto.public.notes.{}", std::process::id());
    let notes = Topic::create("discover_auto.public.notes", 2).await;
    assert_eq!(notes.name, name);
    let send = |ids: std::ops::Range<i64>| {
        for id in ids {
            let value = in_table(&change_with_schema('c', id, "x"), "notes");
            let partition = i32::try_from(id % 2).unwrap();
            notes.send(partition, Some(&key(id)), Some(value.as_bytes()));
        }
        notes.flush();
    };
    send(0..500);
    let count = "SELECT count() FROM discover_auto_silver.notes WHERE note = 'x'";
    wait_for("the table's first rows", PATIENCE, || async {
        (project.engine.number(count).await == 500).then_some(())
    })
    .await;
    let file = std::fs::read_to_string(project.path("jobs/silver/notes.toml")).unwrap();
    assert!(
        file.contains("id = \"Int64\"\nnote = \"Nullable(String)\""),
        "{file}"
    );
    project.succeed(&["check"]);
    assert!(ingest.is_running(), "{}", project.log());
    ingest.kill();
    // the next start finds a job like any other
    send(500..600);
    let ended = project
        .run(&["ingest", "--until-caught-up", "--output", "json"])
        .exits(0);
    assert_eq!(ended.json()["new_topics"].as_array().unwrap().len(), 0);
    assert_eq!(project.engine.number(count).await, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_of_postgres_is_taken_up_as_its_catalog_says() {
    let name = "discover_catalog";
    let source = Source::new(name).await;
    let mut project = project(name, &format!("{}\\..*", source.name), "auto").await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    source
        .run("CREATE TABLE events (id bigint PRIMARY KEY, at timestamp NOT NULL, amount numeric(9, 3));
            INSERT INTO events SELECT i, '2026-01-02 03:04:05', i FROM generate_series(1, 50) i;
            ALTER TABLE events ADD COLUMN late text; UPDATE events SET late = 'x' WHERE id = 7")
        .await;
    source.publish(&["events"], &[]).await;
    let ingest = project.start(&["ingest"]);
    source
        .run("INSERT INTO events VALUES (51, '2026-01-02 03:04:05.5', 0.125, 'y')")
        .await;
    let sum = "SELECT sum(amount) FROM discover_catalog_silver.events";
    wait_for("all rows", PATIENCE, || async {
        let rows = project.engine.ask(sum).await.unwrap_or_default();
        (rows.trim() == "1275.125").then_some(())
    })
    .await;
    drop(ingest);
    let late =
        "SELECT id, late FROM discover_catalog_silver.events WHERE late IS NOT NULL ORDER BY id";
    assert_eq!(project.engine.rows(late).await, ["7\tx", "51\ty"]);
    let file = std::fs::read_to_string(project.path("jobs/silver/events.toml")).unwrap();
    assert!(
        file.contains("amount = \"Nullable(Decimal(9, 3))\""),
        "{file}"
    );
    assert!(file.contains("new_column = \"add\""), "{file}");
    // heartbeats of the connector are no table
    let beats = format!("jobs/silver/{}.toml", source.name);
    assert!(!project.path(&beats).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_topic_is_taken_up_when_clickhouse_answers_again() {
    let mut project = project("discover_later", &of_this_run("discover_later"), "auto").await;
    let front = LyingFront::before(&project.engine);
    project.set("BULLION_CLICKHOUSE_URL", &front.engine.url);
    let (code, done) = (999, false);
    // neither its table can be made at once, nor its topic be compared with what is known of it
    front.lie(About::Query("CREATE TABLE"), 1, Lie::Refuse { code, done });
    front.lie(About::Query("topics FINAL"), 1, Lie::Refuse { code, done });
    let mut ingest = project.start(&["ingest"]);
    let notes = Topic::create("discover_later.public.notes", 1).await;
    for id in 0..20 {
        let value = in_table(&change_with_schema('c', id, "x"), "notes");
        notes.send(0, Some(&key(id)), Some(value.as_bytes()));
    }
    notes.flush();
    let count = "SELECT count() FROM discover_later_silver.notes";
    wait_for("the table's rows", PATIENCE, || async {
        let rows = project.engine.ask(count).await.unwrap_or_default();
        (rows.trim() == "20").then_some(())
    })
    .await;
    assert!(ingest.is_running(), "{}", project.log());
    assert_eq!(front.lies().len(), 2);
    for told in ["has no job yet", "is not ingested yet"] {
        assert!(project.log().contains(told), "{}", project.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_of_one_folder_make_one_job_of_a_new_topic_and_share_it() {
    let project = project("discover_two", &of_this_run("discover_two"), "auto").await;
    let seed = Topic::create("seed_of_discover_two", 2).await;
    let text = format!(
        "topic = \"{}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n",
        seed.name
    );
    project.write("jobs/silver/seed.toml", &text);
    project.succeed(&["migrate"]);
    let processes = [0, 1].map(|_| project.start(&["ingest"]));
    let says = async |words: &str, times: usize| {
        wait_for(words, PATIENCE, || async {
            (project.log().matches(words).count() >= times).then_some(())
        })
        .await;
    };
    // the first has both partitions, then each has one
    says("partitions assigned", 3).await;
    let notes = Topic::create("discover_two.public.notes", 2).await;
    let send = |ids: std::ops::Range<i64>| {
        for id in ids {
            let value = in_table(&change_with_schema('c', id, "x"), "notes");
            let partition = i32::try_from(id % 2).unwrap();
            notes.send(partition, Some(&key(id)), Some(value.as_bytes()));
        }
        notes.flush();
    };
    send(0..100);
    says("its job was written to jobs/silver/notes.toml", 1).await;
    says("its job was made meanwhile", 1).await;
    send(100..200);
    wait_for("all rows in one table", PATIENCE, || async {
        let count = "SELECT count() FROM discover_two_silver.notes";
        (project.engine.number(count).await == 200).then_some(())
    })
    .await;
    drop(processes);
    let mut files: Vec<String> = std::fs::read_dir(project.path("jobs/silver"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["notes.toml", "seed.toml"]);
    project.succeed(&["check"]);
}
