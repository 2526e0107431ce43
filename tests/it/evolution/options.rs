//! `new_column = "add"` beside other options of a column: a cast that fails, a value that an update does not send.

use crate::support::kafka::{Topic, key};
use crate::support::{Engine, PATIENCE, Project, wait_for};

struct Evolving {
    project: Project,
    topic: Topic,
}

impl Evolving {
    async fn new(name: &str, columns: &str) -> Evolving {
        let topic = Topic::create(name, 1).await;
        let project = Project::new(name, &Engine::of_stack()).await;
        let job = format!(
            "topic = \"{}\"\nkey = [\"id\"]\n[policy]\nnew_column = \"add\"\n[columns]\nid = \"Int64\"\n{columns}\n",
            topic.name
        );
        project.write("jobs/silver/notes.toml", &job);
        project.succeed(&["migrate"]);
        Evolving { project, topic }
    }

    /// A row with its embedded schema: field, its schema's type, whether it may be NULL, its value as JSON.
    fn send(&self, op: char, id: i64, fields: &[(&str, &str, bool, &str)]) {
        let id_field = r#"{"type":"int64","optional":false,"field":"id"}"#.to_owned();
        let schema: Vec<String> = std::iter::once(id_field)
            .chain(fields.iter().map(|(name, kind, optional, _)| {
                format!(r#"{{"type":"{kind}","optional":{optional},"field":"{name}"}}"#)
            }))
            .collect();
        let values: Vec<String> = std::iter::once(format!(r#""id":{id}"#))
            .chain(
                fields
                    .iter()
                    .map(|(name, _, _, value)| format!(r#""{name}":{value}"#)),
            )
            .collect();
        let image = format!(
            r#"{{"type":"struct","optional":true,"fields":[{}]"#,
            schema.join(",")
        );
        let value = format!(
            r#"{{"schema":{{"type":"struct","optional":false,"name":"Envelope","fields":[{image},"field":"before"}},{image},"field":"after"}},{{"type":"string","optional":false,"field":"op"}}]}},"payload":{{"before":null,"after":{{{}}},"source":{{"lsn":1,"ts_ms":1700000000000}},"op":"{op}"}}}}"#,
            values.join(",")
        );
        self.topic.send(0, Some(&key(id)), Some(value.as_bytes()));
        self.topic.flush();
    }

    async fn rows(&self, columns: &str) -> Vec<String> {
        let silver = self.project.database("silver");
        let sql = format!("SELECT {columns} FROM {silver}.notes_versions FINAL ORDER BY id");
        self.project.engine.rows(&sql).await
    }

    async fn letters(&self) -> Vec<String> {
        let sql = format!(
            "SELECT offset, reason, column FROM {}.dead_letters FINAL ORDER BY offset",
            self.project.database("ops")
        );
        self.project.engine.rows(&sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cast_that_fails_is_a_dead_letter_and_a_source_that_changes_to_text_is_cast() {
    let evolving = Evolving::new(
        "evolution_cast",
        "visits = { type = \"Nullable(Int64)\", cast = true }",
    )
    .await;
    let visits = |kind, value| [("visits", kind, true, value)];
    evolving.send('c', 1, &visits("int64", "1"));
    evolving.send('c', 2, &visits("string", "\"2\""));
    evolving.send('c', 3, &visits("string", "\"many\"")); // offset 2
    evolving.send(
        'c',
        4,
        &[
            ("visits", "string", true, "\"4\""),
            ("extra", "string", true, "\"more\""),
        ],
    );
    evolving.send(
        'c',
        5,
        &[
            ("visits", "string", true, "\"9223372036854775808\""),
            ("extra", "string", true, "null"),
        ],
    ); // 4
    evolving.send(
        'c',
        6,
        &[
            ("visits", "string", true, "null"),
            ("extra", "string", true, "\"and more\""),
        ],
    );
    let ran = evolving.project.succeed(&["ingest", "--until-caught-up"]);
    assert_eq!(
        evolving.rows("id, visits, extra").await,
        ["1\t1\t\\N", "2\t2\t\\N", "4\t4\tmore", "6\t\\N\tand more"],
        "{}",
        ran.text()
    );
    let letters = evolving.letters().await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0], "2\tbad_value\tvisits");
    assert!(
        letters[1].starts_with("4\t") && letters[1].ends_with("\tvisits"),
        "{letters:?}"
    );
}

const UNSENT: &str = "\"__debezium_unavailable_value\"";

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_while_another_process_and_then_this_one_widens_their_column() {
    let evolving = Evolving::new(
        "evolution_keep",
        "n = \"Int32\"\nbig = { type = \"String\", toast = \"keep\" }",
    )
    .await;
    let row = |n, optional, big| [("n", "int32", false, n), ("big", "string", optional, big)];
    let ingest = evolving.project.start(&["ingest"]);
    let arrived = async |what: &str, wanted: &[&str]| {
        wait_for(what, PATIENCE, || async {
            (evolving.rows("id, n, big").await == wanted).then_some(())
        })
        .await;
    };
    evolving.send('c', 1, &row("1", false, "\"one\""));
    evolving.send('c', 2, &row("1", false, "\"two\""));
    arrived("the first rows", &["1\t1\tone", "2\t1\ttwo"]).await;
    // another process has met a message of another partition that says so
    let alter = format!(
        "ALTER TABLE {}.notes_versions MODIFY COLUMN big Nullable(String)",
        evolving.project.database("silver")
    );
    evolving.project.engine.ask(&alter).await.unwrap();
    evolving.send('u', 1, &row("2", false, UNSENT));
    arrived(
        "a value that is kept by the narrower type",
        &["1\t2\tone", "2\t1\ttwo"],
    )
    .await;
    // now this one meets it, with rows that lean on others before and after
    evolving.send('u', 1, &row("3", false, UNSENT));
    evolving.send('c', 3, &row("1", true, "null"));
    evolving.send('u', 2, &row("2", true, UNSENT));
    evolving.send('u', 1, &row("4", true, UNSENT));
    evolving.send('u', 3, &row("2", true, "null"));
    arrived(
        "values that are kept by the wider type",
        &["1\t4\tone", "2\t2\ttwo", "3\t2\t\\N"],
    )
    .await;
    drop(ingest);
    assert_eq!(evolving.letters().await, Vec::<String>::new());
}
