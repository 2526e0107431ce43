//! Documents of MongoDB in Avro: messages made by hand by the schema of Debezium's connector, the registry is real.

use apache_avro::types::Value;
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::json;

use super::{framed, record, register, some};
use crate::support::kafka::{Topic, producer};
use crate::support::{Engine, PATIENCE, Project, stack};

const KEY: &str = r#"{"type":"record","name":"Key","namespace":"shop.orders","fields":[{"name":"id","type":"string"}]}"#;

/// Of Debezium's MongoDB connector; a later one has a field more.
fn envelope(later: bool) -> String {
    let text = json!(["null", { "type": "string", "connect.version": 1, "connect.name": "io.debezium.data.Json" }]);
    let described = json!(["null", { "type": "record", "name": "updatedescription", "namespace": "io.debezium.connector.mongodb", "fields": [
        { "name": "removedFields", "type": ["null", { "type": "array", "items": "string" }], "default": null },
        { "name": "updatedFields", "type": text, "default": null },
    ]}]);
    let mut fields = vec![
        json!({ "name": "before", "type": text, "default": null }),
        json!({ "name": "after", "type": text, "default": null }),
        json!({ "name": "updateDescription", "type": described, "default": null }),
        json!({ "name": "source", "type": { "type": "record", "name": "Source", "namespace": "io.debezium.connector.mongo", "fields": [
            { "name": "connector", "type": "string" }, { "name": "ts_ms", "type": "long" }] } }),
        json!({ "name": "op", "type": ["null", "string"], "default": null }),
    ];
    if later {
        fields.push(json!({ "name": "ts_ns", "type": ["null", "long"], "default": null }));
    }
    json!({ "type": "record", "name": "Envelope", "namespace": "shop.orders", "fields": fields })
        .to_string()
}

fn text(text: Option<&str>) -> Value {
    match text {
        Some(text) => some(Value::String(text.to_owned())),
        None => Value::Union(0, Box::new(Value::Null)),
    }
}

fn change(op: &str, after: Option<&str>, later: bool) -> Value {
    let described = record(vec![
        ("removedFields", Value::Union(0, Box::new(Value::Null))),
        ("updatedFields", text(Some(r#"{"a":1}"#))),
    ]);
    let described = match op {
        "u" => some(described),
        _ => Value::Union(0, Box::new(Value::Null)),
    };
    let mut fields = vec![
        ("before", text(None)),
        ("after", text(after)),
        ("updateDescription", described),
        (
            "source",
            record(vec![
                ("connector", Value::String("mongodb".to_owned())),
                ("ts_ms", Value::Long(1_739_455_297_970)),
            ]),
        ),
        ("op", text(Some(op))),
    ];
    if later {
        fields.push(("ts_ns", some(Value::Long(1))));
    }
    record(fields)
}

const JOB: &str = r#"
topic = "{topic}"
format = "mongodb-avro"
key = ["_id"]
[columns]
_id = { type = "String", from = "objectid" }
city = { type = "Nullable(String)", path = "address.city" }
created = "Nullable(DateTime64(3, 'UTC'))"
document = { type = "String", path = "$" }
[policy]
lookup_miss = "skip"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_mongodb_arrive_in_avro_and_its_schema_may_change() {
    let name = "avro_mongodb";
    let topic = Topic::create(name, 1).await;
    let mut project = Project::new(name, &Engine::of_stack()).await;
    project.set("BULLION_REGISTRY_URL", &stack("BULLION_REGISTRY_URL"));
    project.write(
        "jobs/silver/orders.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    let key = register(&format!("{}-key", topic.name), KEY).await;
    let subject = format!("{}-value", topic.name);
    let (first, second) = (envelope(false), envelope(true));
    let (one, two) = (
        register(&subject, &first).await,
        register(&subject, &second).await,
    );
    assert_ne!(one, two);
    let producer = producer(&[]);
    let send = |digit: u8, op: Option<&str>, after: Option<&str>, later: bool| {
        let id = format!(r#"{{"$oid":"67ab6e1d2c3f4a5b6c7d8e0{digit}"}}"#);
        let key = framed(key, KEY, record(vec![("id", Value::String(id.clone()))]));
        let after = after.map(|city| {
            format!(r#"{{"_id":{id},"address":{{"city":"{city}"}},"created":{{"$date":1739455297970}}}}"#)
        });
        let (schema, number) = if later { (&second, two) } else { (&first, one) };
        let value = op.map(|op| framed(number, schema, change(op, after.as_deref(), later)));
        let mut message = BaseRecord::to(&topic.name).partition(0).key(&key);
        message.payload = value.as_ref();
        assert!(producer.send(message).is_ok());
    };
    for digit in 1..5 {
        send(digit, Some("r"), Some("Bern"), false);
    }
    send(1, Some("u"), Some("Basel"), true);
    // looked up too late, then the delete that it was too late for; a delete and its tombstone
    send(2, Some("u"), None, true);
    send(2, Some("d"), None, true);
    send(3, Some("d"), None, false);
    send(3, None, None, false);
    producer.flush(PATIENCE).unwrap();
    project.succeed(&["ingest", "--until-caught-up"]);
    let rows = format!(
        "SELECT _id, city, created, document LIKE '%2025-02-13T14:01:37.97%' FROM {}.orders ORDER BY _id",
        project.database("silver")
    );
    let expected = [
        "67ab6e1d2c3f4a5b6c7d8e01\tBasel\t2025-02-13 14:01:37.970\t1",
        "67ab6e1d2c3f4a5b6c7d8e04\tBern\t2025-02-13 14:01:37.970\t1",
    ];
    let letters = format!(
        "SELECT reason, column FROM {}.dead_letters",
        project.database("ops")
    );
    assert_eq!(project.engine.rows(&letters).await, Vec::<String>::new());
    assert_eq!(project.engine.rows(&rows).await, expected);
    project.succeed(&["resync", "orders", "--source", "kafka"]);
    assert_eq!(project.engine.rows(&rows).await, expected);
}
