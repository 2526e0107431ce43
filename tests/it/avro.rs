//! Avro under a real registry: its schemas change in mid topic, it goes away and comes back, it does not know an id.
//! (`types` compares every type through Debezium's Avro with PostgreSQL.)

mod mongodb;

use std::time::Duration;

use apache_avro::types::Value;
use serde_json::json;

use crate::support::kafka::{Topic, producer};
use crate::support::proxy::{Proxy, Weather};
use crate::support::{Engine, PATIENCE, Project, http, stack, stays, wait_for};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]}"#;

/// The envelope of a table of `id` and these fields, each of which may be NULL.
fn envelope(more: &[(&str, &str)]) -> String {
    let mut fields = vec![json!({ "name": "id", "type": "long" })];
    for (name, kind) in more {
        fields.push(json!({ "name": name, "type": ["null", kind], "default": null }));
    }
    json!({ "type": "record", "name": "Envelope", "namespace": "shop", "fields": [
        { "name": "after", "type": ["null", { "type": "record", "name": "Value", "fields": fields }] },
        { "name": "op", "type": "string" },
    ]})
    .to_string()
}

/// Registers a schema as a producer does; its id.
async fn register(subject: &str, schema: &str) -> u32 {
    let url = format!(
        "{}/subjects/{subject}/versions",
        stack("BULLION_REGISTRY_URL")
    );
    let answer = http()
        .post(&url)
        .json(&json!({ "schema": schema }))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    answer["id"].as_u64().unwrap().try_into().unwrap()
}

fn framed(id: u32, schema: &str, value: Value) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse_str(schema).unwrap();
    let datum = apache_avro::to_avro_datum(&parsed, value).unwrap();
    [&[0][..], &id.to_be_bytes(), &datum].concat()
}

fn record(fields: Vec<(&str, Value)>) -> Value {
    let named = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Record(named.collect())
}

fn change(id: u32, schema: &str, row: Vec<(&str, Value)>) -> Vec<u8> {
    let after = Value::Union(1, Box::new(record(row)));
    framed(
        id,
        schema,
        record(vec![
            ("after", after),
            ("op", Value::String("c".to_owned())),
        ]),
    )
}

fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

struct Registered {
    topic: Topic,
    project: Project,
    producer: BaseProducer,
    key: u32,
}

impl Registered {
    async fn new(name: &str, policy: &str) -> Registered {
        let topic = Topic::create(name, 1).await;
        let mut project = Project::new(name, &Engine::of_stack()).await;
        project.set("BULLION_REGISTRY_URL", &stack("BULLION_REGISTRY_URL"));
        let job = format!(
            "topic = \"{}\"\nformat = \"debezium-avro\"\nkey = [\"id\"]\n[policy]\n{policy}\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n",
            topic.name
        );
        project.write("jobs/silver/notes.toml", &job);
        project.succeed(&["migrate"]);
        Registered {
            key: register(&format!("{}-key", topic.name), KEY).await,
            topic,
            project,
            producer: producer(&[]),
        }
    }

    fn send(&self, id: i64, value: &[u8]) {
        let key = framed(self.key, KEY, record(vec![("id", Value::Long(id))]));
        let record = BaseRecord::to(&self.topic.name)
            .partition(0)
            .key(&key)
            .payload(value);
        assert!(self.producer.send(record).is_ok());
        self.producer.flush(PATIENCE).unwrap();
    }

    async fn rows(&self, columns: &str) -> Vec<String> {
        let silver = self.project.database("silver");
        let sql = format!("SELECT {columns} FROM {silver}.notes ORDER BY id");
        self.project.engine.rows(&sql).await
    }

    async fn dead_letters(&self) -> Vec<String> {
        let ops = self.project.database("ops");
        let sql = format!("SELECT reason FROM {ops}.dead_letters FINAL ORDER BY offset");
        self.project.engine.rows(&sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_comes_with_a_new_schema_id_is_added_in_mid_topic() {
    let registered = Registered::new("avro_evolves", "new_column = \"add\"").await;
    let (first, second) = (
        envelope(&[("note", "string")]),
        envelope(&[("note", "string"), ("amount", "long")]),
    );
    let subject = format!("{}-value", registered.topic.name);
    let (one, two) = (
        register(&subject, &first).await,
        register(&subject, &second).await,
    );
    assert_ne!(one, two);
    let note = |text: &str| some(Value::String(text.to_owned()));
    registered.send(
        1,
        &change(
            one,
            &first,
            vec![("id", Value::Long(1)), ("note", note("a"))],
        ),
    );
    let wider = vec![
        ("id", Value::Long(2)),
        ("note", note("b")),
        ("amount", some(Value::Long(5))),
    ];
    registered.send(2, &change(two, &second, wider));
    // one of two producers still writes the older schema
    registered.send(
        3,
        &change(
            one,
            &first,
            vec![("id", Value::Long(3)), ("note", note("c"))],
        ),
    );
    registered.project.succeed(&["ingest", "--until-caught-up"]);
    assert_eq!(
        registered.rows("id, note, amount").await,
        ["1\ta\t\\N", "2\tb\t5", "3\tc\t\\N"]
    );
    assert!(registered.dead_letters().await.is_empty());
    let peeked = registered.project.succeed(&["ingest", "--peek", "1"]);
    assert!(
        !peeked.text().contains("unknown_schema"),
        "{}",
        peeked.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for_and_an_id_that_it_lacks_is_a_dead_letter() {
    let mut registered = Registered::new("avro_away", "").await;
    let schema = envelope(&[("note", "string")]);
    let subject = format!("{}-value", registered.topic.name);
    let id = register(&subject, &schema).await;
    let url = stack("BULLION_REGISTRY_URL");
    let (server, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut proxy = Proxy::before(server);
    let through = format!("http://{}/{path}", proxy.address);
    registered.project.set("BULLION_REGISTRY_URL", &through);
    proxy.set(Weather::Down);

    let row = |id: i64| {
        vec![
            ("id", Value::Long(id)),
            ("note", some(Value::String("x".to_owned()))),
        ]
    };
    registered.send(1, &change(id, &schema, row(1)));
    registered.send(2, &change(999_999_999, &schema, row(2)));
    registered.send(3, &change(id, &schema, row(3)));
    let ingest = registered.project.start(&["ingest"]);
    wait_for("ingest to say that it waits", PATIENCE, || async {
        registered
            .project
            .log()
            .contains("cannot reach the schema registry")
            .then_some(())
    })
    .await;
    let group = format!("avro_away-{}", std::process::id());
    stays(Duration::from_secs(1), || async {
        assert!(registered.rows("id").await.is_empty());
        assert!(registered.dead_letters().await.is_empty());
        assert_eq!(registered.topic.committed(&group), [0]);
    })
    .await;

    proxy.set(Weather::Clear);
    wait_for("the rows", PATIENCE, || async {
        (registered.rows("id").await == ["1", "3"]).then_some(())
    })
    .await;
    wait_for("the dead letter", PATIENCE, || async {
        (registered.dead_letters().await == ["unknown_schema"]).then_some(())
    })
    .await;
    wait_for("the commit", PATIENCE, || async {
        (registered.topic.committed(&group) == [3]).then_some(())
    })
    .await;
    ingest.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_avro_without_a_registry_and_a_job_of_json_over_avro_are_refused() {
    let mut registered = Registered::new("avro_refused", "").await;
    let schema = envelope(&[("note", "string")]);
    let id = register(&format!("{}-value", registered.topic.name), &schema).await;
    let row = |id: i64| {
        vec![
            ("id", Value::Long(id)),
            ("note", some(Value::String("x".to_owned()))),
        ]
    };
    for number in 1..=3 {
        registered.send(number, &change(id, &schema, row(number)));
    }
    registered.project.unset("BULLION_REGISTRY_URL");
    let refused = registered.project.run(&["ingest", "--until-caught-up"]);
    assert_eq!(refused.exit, 2, "{}", refused.text());
    assert!(
        refused.text().contains("set `registry.url`"),
        "{}",
        refused.text()
    );

    let file = registered.project.path("jobs/silver/notes.toml");
    let job = std::fs::read_to_string(&file)
        .unwrap()
        .replace("debezium-avro", "debezium-json");
    registered.project.write("jobs/silver/notes.toml", &job);
    let refused = registered.project.run(&["ingest", "--until-caught-up"]);
    assert_eq!(refused.exit, 2, "{}", refused.text());
    assert!(
        refused.text().contains("format = \"debezium-avro\""),
        "{}",
        refused.text()
    );
    assert!(registered.dead_letters().await.is_empty());
}
