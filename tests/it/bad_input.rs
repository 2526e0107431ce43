//! Bad input gets a clear error: which part, where, what to try; and the exit code that a scheduler acts on.

use std::net::TcpListener;

use crate::support::stream::Stream;
use crate::support::{Engine, Project, stack};

/// An address where nobody listens.
fn nowhere() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

/// Runs, and insists on the exit code and that these words are said.
fn fails(project: &Project, arguments: &str, exit: i32, words: &[&str]) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let ended = project.run(&arguments);
    let text = ended.text();
    assert_eq!(ended.exit, exit, "{arguments:?}\n{text}");
    for words in words {
        assert!(
            text.contains(words),
            "{arguments:?} does not say: {words}\n{text}"
        );
    }
    assert!(
        !text.contains(&stack("BULLION_CLICKHOUSE_PASSWORD")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_down_is_named_with_its_address() {
    let mut stream = Stream::new("bad_down", 1).await;
    let hint = "bullion config show --origin";
    let ingest = "ingest --until-caught-up";
    let (kafka, clickhouse) = (nowhere(), format!("http://{}", nowhere()));
    stream.project.set("BULLION_KAFKA_BROKERS", &kafka);
    fails(
        &stream.project,
        ingest,
        1,
        &["cannot reach kafka at", &kafka, hint],
    );
    stream.project.set("BULLION_CLICKHOUSE_URL", &clickhouse);
    for command in [ingest, "migrate", "ingest --peek 1"] {
        let words = ["cannot reach clickhouse at", &clickhouse, hint];
        fails(&stream.project, command, 1, &words);
    }
    let postgres = nowhere();
    stream.project.set(
        "BULLION_POSTGRES_URL",
        &format!("postgres://me@{postgres}/shop"),
    );
    let new = "new silver orders --from-postgres public.orders";
    let port = postgres.rsplit(':').next().unwrap();
    fails(
        &stream.project,
        new,
        1,
        &["cannot reach PostgreSQL at", port, hint],
    );
    let connect = format!("http://{}", nowhere());
    stream.project.set("BULLION_CONNECT_URL", &connect);
    fails(&stream.project, "connectors status", 1, &[&connect]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_a_fault_of_configuration() {
    let mut stream = Stream::new("bad_password", 1).await;
    stream
        .project
        .set("BULLION_CLICKHOUSE_PASSWORD", "wrong one");
    let next = "check the user and the password";
    fails(
        &stream.project,
        "ingest --until-caught-up",
        2,
        &["clickhouse refused", next],
    );
    fails(&stream.project, "migrate", 2, &["clickhouse refused", next]);
    let (host, port) = (
        stack("BULLION_POSTGRES_HOST"),
        stack("BULLION_POSTGRES_PORT"),
    );
    stream.project.set(
        "BULLION_POSTGRES_URL",
        &format!("postgres://postgres@{host}:{port}/postgres"),
    );
    stream.project.set("BULLION_POSTGRES_PASSWORD", "wrong one");
    let new = "new silver orders --from-postgres public.orders";
    fails(
        &stream.project,
        new,
        2,
        &["PostgreSQL at", "password authentication failed"],
    );
    assert!(
        !stream
            .project
            .run(&["config", "show"])
            .text()
            .contains("wrong one")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_or_table_that_is_not_as_declared_is_refused() {
    let mut stream = Stream::new("bad_declared", 1).await;
    let versions = stream.silver("notes_versions");
    let remake = async |engine: &str, order: &str| {
        for sql in [
            format!("DROP TABLE {versions}"),
            format!(
                "CREATE TABLE {versions} (id Int64, note Nullable(String), _version UInt64, _deleted UInt8) ENGINE = {engine} ORDER BY {order}"
            ),
        ] {
            stream.engine.ask(&sql).await.unwrap();
        }
    };
    remake("MergeTree", "id").await;
    for command in ["ingest --until-caught-up", "migrate"] {
        let words = [
            "has engine MergeTree",
            "job `notes` declares ReplacingMergeTree",
        ];
        fails(&stream.project, command, 2, &words);
    }
    remake("ReplacingMergeTree(_version, _deleted)", "(id, _version)").await;
    let words = ["has ORDER BY id, _version, job `notes` declares id"];
    fails(&stream.project, "ingest --until-caught-up", 2, &words);

    stream
        .engine
        .ask(&format!("DROP TABLE {versions}"))
        .await
        .unwrap();
    stream.project.succeed(&["migrate"]);
    stream.topic.delete().await;
    let words = [
        "has no topic",
        &stream.topic.name,
        "check `topic` in the job",
    ];
    fails(&stream.project, "ingest --until-caught-up", 2, &words);
    fails(&stream.project, "ingest --peek 1", 2, &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_job_file_is_reported_with_its_line() {
    let project = Project::new("bad_job", &Engine::of_stack()).await;
    project.write(
        "jobs/silver/orders.toml",
        "topic = \"shop.public.orders\"\nkey = [\"idd\"]\npolicys = 3\n[columns]\nid = \"Int63\"\nnote = \"String\"\n",
    );
    let words = [
        "orders.toml:2",
        "orders.toml:3",
        "orders.toml:5",
        "did you mean `policy`",
        "did you mean `Int64`",
    ];
    for command in ["check", "ingest", "migrate"] {
        fails(&project, command, 2, &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_make_no_sense_are_refused_before_any_sql() {
    let mut project = Project::new("bad_range", &Engine::of_stack()).await;
    project.write(
        "jobs/gold/daily.toml",
        "grain = \"day\"\ntime_column = \"day\"\norder_by = [\"day\"]\n",
    );
    project.write(
        "jobs/gold/daily.sql",
        "SELECT toDate(at) AS day, count() AS n FROM events\n\
         WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')} GROUP BY day\n",
    );
    // nothing may be asked of it
    project.set("BULLION_CLICKHOUSE_URL", &format!("http://{}", nowhere()));
    for (range, words) in [
        ("--date 2024-02-30", "2024-02-30"),
        ("--date 2024-01-01;id", "2024-01-01;id"),
        ("--from 1970-01-01 --to 2024-01-01", "4000 windows"),
        ("--from 2024-03-02 --to 2024-03-01", "2024-03-02"),
        (
            "--from 2024-03-01T00:00:00+00:00 --to 2024-03-01T00:00:00+00:00",
            "Airflow",
        ),
        ("--date 2999-01-01", "2999-01-01"),
    ] {
        fails(&project, &format!("gold daily {range}"), 2, &[words]);
    }
}
