//! A table follows its source, on real parts: columns come, widen and go in mid topic, and nothing is written wrong.

mod halfway;
mod options;
mod widening;

use crate::support::kafka::Topic;
use crate::support::program::{Ran, Running};
use crate::support::{Engine, PATIENCE, Project, wait_for};

/// A topic of the test's own whose messages carry their schema, and one job over it.
struct Followed {
    topic: Topic,
    project: Project,
    name: &'static str,
}

const INT64: &str = r#""type":"int64","optional":false"#;
const INT32: &str = r#""type":"int32","optional":false"#;
const TEXT: &str = r#""type":"string","optional":true"#;
const MICROS: &str = r#""type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp""#;

/// A field of a message: name, its schema, its value.
type Field<'a> = (&'a str, &'a str, &'a str);

impl Followed {
    async fn new(name: &'static str, partitions: i32, policy: &str, columns: &str) -> Followed {
        let followed = Followed {
            topic: Topic::create(name, partitions).await,
            project: Project::new(name, &Engine::of_stack()).await,
            name,
        };
        followed.declare(policy, columns);
        followed.project.succeed(&["migrate"]);
        followed
    }

    fn declare(&self, policy: &str, columns: &str) {
        let text = format!(
            "topic = \"{}\"\nkey = [\"id\"]\n[policy]\n{policy}\n[columns]\nid = \"Int64\"\n{columns}\n",
            self.topic.name
        );
        self.project.write("jobs/silver/notes.toml", &text);
    }

    /// A create of row `id` with these fields and their schema.
    fn send(&self, partition: i32, id: i64, fields: &[Field<'_>]) {
        let id_value = id.to_string();
        let all: Vec<Field<'_>> = std::iter::once(("id", INT64, id_value.as_str()))
            .chain(fields.iter().copied())
            .collect();
        let schema: Vec<String> = all
            .iter()
            .map(|(name, kind, _)| format!(r#"{{"field":{},{kind}}}"#, json(name)))
            .collect();
        let value = format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"type":"struct","field":"after","fields":[{}]}}]}},"payload":{}}}"#,
            schema.join(","),
            payload(&all)
        );
        self.write(partition, id, &value);
    }

    /// The same without a schema.
    fn send_bare(&self, partition: i32, id: i64, fields: &[(&str, &str)]) {
        let id_value = id.to_string();
        let all: Vec<Field<'_>> = std::iter::once(("id", "", id_value.as_str()))
            .chain(fields.iter().map(|(name, value)| (*name, "", *value)))
            .collect();
        self.write(partition, id, &payload(&all));
    }

    fn write(&self, partition: i32, id: i64, value: &str) {
        let key = format!(r#"{{"id":{id}}}"#);
        self.topic
            .send(partition, Some(&key), Some(value.as_bytes()));
    }

    fn catch_up(&self) -> Ran {
        self.topic.flush();
        let arguments = ["ingest", "--until-caught-up", "--output", "json"];
        self.project.run(&arguments)
    }

    async fn rows(&self, columns: &str) -> Vec<String> {
        let sql = format!(
            "SELECT {columns} FROM {}_silver.notes ORDER BY id",
            self.name
        );
        self.project.engine.rows(&sql).await
    }

    /// `column type` of the view, bullion's own left out.
    async fn columns(&self) -> Vec<String> {
        let sql = format!(
            "SELECT name, type FROM system.columns WHERE database = '{}_silver' AND table = 'notes' AND name NOT LIKE '\\_%' ORDER BY position",
            self.name
        );
        self.project.engine.rows(&sql).await
    }

    async fn dead_letters(&self) -> Vec<String> {
        let sql = format!(
            "SELECT reason, column FROM {}_ops.dead_letters FINAL ORDER BY partition, offset",
            self.name
        );
        self.project.engine.rows(&sql).await
    }

    async fn events(&self) -> Vec<String> {
        let sql = format!(
            "SELECT field, state, type, source_type FROM {}_ops.columns FINAL WHERE state != 'seen' ORDER BY at, field",
            self.name
        );
        self.project.engine.rows(&sql).await
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn payload(fields: &[Field<'_>]) -> String {
    let values: Vec<String> = fields
        .iter()
        .map(|(name, _, value)| format!("{}:{value}", json(name)))
        .collect();
    format!(
        r#"{{"before":null,"after":{{{}}},"source":{{"ts_ms":1700000000000,"schema":"public","table":"x`; DROP TABLE y; --"}},"op":"c","ts_ms":1700000000001}}"#,
        values.join(",")
    )
}

const ADD: &str = "new_column = \"add\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_field_becomes_a_column_and_no_row_lacks_it() {
    let followed = Followed::new("evolve_add", 1, ADD, "note = \"Nullable(String)\"").await;
    let declared = std::fs::read_to_string(followed.project.path("jobs/silver/notes.toml"));
    for id in 0..50 {
        followed.send(0, id, &[("note", TEXT, "\"old\"")]);
    }
    let at = "1700000000123456";
    for id in 50..100 {
        followed.send(0, id, &[("note", TEXT, "\"new\""), ("at", MICROS, at)]);
    }
    // a message from before, delivered again behind them
    followed.send(0, 3, &[("note", TEXT, "\"old\"")]);
    let ended = followed.catch_up().exits(0);
    assert_eq!(ended.json()["jobs"]["notes"]["columns"]["at"], "added");
    assert_eq!(ended.json()["jobs"]["notes"]["messages"], 101);
    let counted = followed
        .rows("count(), countIf(at = '2023-11-14 22:13:20.123456'), countIf(at IS NULL), any(id) > -1 AS id")
        .await;
    assert_eq!(counted, ["100\t50\t50\t1"]);
    assert_eq!(
        followed.columns().await,
        [
            "id\tInt64",
            "note\tNullable(String)",
            "at\tNullable(DateTime64(6, \\'UTC\\'))"
        ]
    );
    assert_eq!(
        followed.events().await,
        ["at\tadded\tNullable(DateTime64(6, \\'UTC\\'))\tio.debezium.time.MicroTimestamp?"]
    );
    assert!(followed.dead_letters().await.is_empty());
    let file = followed.project.path("jobs/silver/notes.toml");
    assert_eq!(std::fs::read_to_string(file).unwrap(), declared.unwrap());

    let line = "at = { type = \"Nullable(DateTime64(6, 'UTC'))\", from = \"micros\" }";
    let told = followed.project.succeed(&["migrate"]).text();
    assert!(told.contains("column at was added by ingest"), "{told}");
    assert!(told.contains(line), "{told}");
    followed.declare(ADD, &format!("note = \"Nullable(String)\"\n{line}"));
    let told = followed.project.succeed(&["migrate"]).text();
    assert!(
        told.contains("nothing to change") && !told.contains("by ingest"),
        "{told}"
    );
    // it is older than the column, whoever has declared it
    followed.send(0, 4, &[("note", TEXT, "\"older\"")]);
    followed.catch_up().exits(0);
    assert_eq!(followed.rows("id, at").await[4], "4\t\\N");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_tells_a_type_the_text_is_kept() {
    let followed = Followed::new("evolve_text", 1, ADD, "").await;
    let values = ["12.50", "\"a \\\"b\\\"\"", "true", "{\"k\": [1]}", "null"];
    for (id, value) in values.into_iter().enumerate() {
        followed.send_bare(0, i64::try_from(id).unwrap(), &[("x", value)]);
    }
    let ended = followed.catch_up().exits(0);
    assert!(
        ended.stderr.contains("nothing tells its type"),
        "{}",
        ended.stderr
    );
    assert_eq!(followed.columns().await[1], "x\tNullable(String)");
    assert_eq!(
        followed.rows("x").await,
        ["12.50", "a \"b\"", "true", "{\"k\": [1]}", "\\N"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_to_stop_names_the_field_and_the_line() {
    let stop = "new_column = \"stop\"";
    let followed = Followed::new("evolve_stop", 1, stop, "").await;
    followed.send(0, 1, &[]);
    followed.send(0, 2, &[("at", MICROS, "1")]);
    let ended = followed.catch_up().exits(2);
    let line = "at = { type = \"Nullable(DateTime64(6, 'UTC'))\", from = \"micros\" }";
    assert!(ended.text().contains("`at`"), "{}", ended.text());
    assert!(ended.text().contains(line), "{}", ended.text());
    assert!(followed.rows("id").await.iter().all(|id| id == "1"));
    assert!(followed.dead_letters().await.is_empty());
    followed.declare(stop, line);
    followed.project.succeed(&["migrate"]);
    // the message without the field is one that a person has to decide about
    followed.declare(&format!("{stop}\nmissing_column = \"null\""), line);
    followed.catch_up().exits(0);
    assert_eq!(
        followed.rows("id, at").await,
        ["1\t\\N", "2\t1970-01-01 00:00:00.000001"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_vanishes_is_told_once_and_never_defaulted_unless_declared() {
    let followed = Followed::new("evolve_gone", 1, ADD, "note = \"Nullable(String)\"").await;
    followed.send(0, 1, &[("note", TEXT, "\"a\""), ("more", TEXT, "\"b\"")]);
    for id in 2..5 {
        followed.send(
            0,
            id,
            &[("remark", TEXT, "\"renamed\""), ("more", TEXT, "\"b\"")],
        );
    }
    let ended = followed.catch_up().exits(0);
    let columns = &ended.json()["jobs"]["notes"]["columns"];
    assert_eq!(columns["note"], "missing");
    assert_eq!(columns["remark"], "added");
    let said = ended
        .stderr
        .matches("does not send this field any more")
        .count();
    assert_eq!(said, 1, "{}", ended.stderr);
    assert_eq!(followed.dead_letters().await, ["missing_column\tnote"; 3]);
    assert_eq!(followed.rows("id").await, ["1"]);

    followed.declare(
        "new_column = \"add\"\nmissing_column = \"null\"",
        "note = \"Nullable(String)\"",
    );
    followed.send(0, 6, &[("remark", TEXT, "\"c\""), ("more", TEXT, "\"b\"")]);
    let ended = followed.catch_up().exits(0);
    assert_eq!(ended.json()["jobs"]["notes"]["columns"]["note"], "missing");
    assert_eq!(
        followed.rows("id, note, remark").await,
        ["1\ta\t\\N", "6\t\\N\tc"]
    );
    assert!(
        followed
            .events()
            .await
            .contains(&"note\tmissing\tNullable(String)\tstring?".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_columns_are_quoted_and_a_name_that_is_taken_is_refused() {
    let followed = Followed::new(
        "evolve_names",
        1,
        ADD,
        "kept = { type = \"Int64\", name = \"renamed\" }",
    )
    .await;
    let long = "x".repeat(300);
    let names = [
        "_version",
        "is_deleted",
        "_deleted",
        "a`b",
        "a\"b",
        "a'b",
        "a\\b",
        "a.b",
        "a.c",
        "select",
        "from",
        "ключ 🗝",
        "x`; DROP TABLE y; --",
        &long,
        "{p:String}",
        "?",
        "%s",
        " ",
    ];
    let mut fields: Vec<Field<'_>> = vec![("kept", INT64, "1")];
    fields.extend(names.iter().map(|name| (*name, INT64, "5")));
    followed.send(0, 1, &fields);
    followed.catch_up().exits(0);
    assert_eq!(followed.columns().await.len(), 2 + names.len());
    assert_eq!(
        followed
            .rows("source_version, source_deleted, is_deleted, `a.b`")
            .await,
        ["5\t5\t5\t5"]
    );
    let sum = names
        .iter()
        .skip(3)
        .map(|name| format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")));
    let sum: Vec<String> = sum.collect();
    assert_eq!(
        followed.rows(&sum.join(" + ")).await,
        [(5 * sum.len()).to_string()]
    );
    // every start reads them again from the table
    followed.send(0, 2, &fields);
    followed.catch_up().exits(0);
    assert_eq!(followed.rows(&sum.join(" + ")).await.len(), 2);
    // and so does a person who puts the lines into the file
    let told = followed
        .project
        .succeed(&["migrate", "--output", "json"])
        .json();
    let lines: Vec<&str> = told["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap().split_once(".toml: ").unwrap().1)
        .collect();
    followed.declare(
        ADD,
        &format!(
            "kept = {{ type = \"Int64\", name = \"renamed\" }}\n{}",
            lines.join("\n")
        ),
    );
    followed.project.succeed(&["check"]);
    let told = followed
        .project
        .succeed(&["migrate", "--output", "json"])
        .json();
    assert_eq!(
        (
            told["status"].as_str(),
            told["notes"].as_array().unwrap().len()
        ),
        (Some("noop"), 0)
    );

    fields.push(("renamed", INT64, "9"));
    followed.send(0, 3, &fields);
    let ended = followed.catch_up().exits(2);
    assert!(ended.text().contains("exists already"), "{}", ended.text());
    assert_eq!(followed.rows("id").await, ["1", "2"]);
}
