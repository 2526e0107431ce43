//! Column options on real parts: masked before anything leaves, constants, metadata of Kafka, casts.

use crate::support::kafka::{Topic, producer, send};
use crate::support::{Engine, PATIENCE, Project};

const JOB: &str = r#"
topic = "{topic}"
key = ["email"]
exclude = ["password"]

[columns]
email = { type = "String", mask = "hash" }
card = { type = "Nullable(String)", mask = "last 4" }
secret = { type = "Nullable(Int32)", mask = "null" }
amount = { type = "Decimal(10, 2)", cast = true }
code = { type = "String", name = "order_code", cast = true }

[constants]
region = { type = "LowCardinality(String)", value = "eu" }

[metadata]
sent_at = "timestamp"
place = "offset"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn masked_values_are_nowhere_but_in_dead_letters() {
    let name = "column_options";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let topic = Topic::create(name, 1).await;
    project.write(
        "jobs/silver/orders.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    let refused = project.run(&["check"]);
    assert_eq!(refused.exit, 2);
    assert!(
        refused.text().contains("BULLION_MASK_KEY"),
        "{}",
        refused.text()
    );
    let key_file = project.path("mask.key");
    std::fs::write(&key_file, "0123456789abcdef\n").unwrap();
    project.set("BULLION_MASK_KEY_FILE", key_file.to_str().unwrap());
    project.succeed(&["check"]);
    project.succeed(&["migrate"]);
    let sending = producer(&[]);
    let change = |op: &str, email: &str, code: &str| {
        let row = format!(
            r#"{{"email":"{email}","card":"4111111111111234","secret":7,"amount":"1.50","code":{code},"password":"x"}}"#
        );
        let value = format!(
            r#"{{"before":null,"after":{row},"source":{{"ts_ms":1700000000000}},"op":"{op}"}}"#
        );
        let key = format!(r#"{{"email":"{email}"}}"#);
        send(&sending, &topic.name, 0, Some(&key), Some(value.as_bytes()));
    };
    change("c", "alice@example.org", "12");
    change("c", "bob@example.org", "13");
    change("u", "alice@example.org", "14");
    change("c", "carol@example.org", "{}");
    send(
        &sending,
        &topic.name,
        0,
        Some(r#"{"email":"bob@example.org"}"#),
        None,
    );
    rdkafka::producer::Producer::flush(&sending, PATIENCE).unwrap();

    let peek = project.succeed(&["ingest", "--peek", "5"]);
    for shown in [
        "alice",
        "bob",
        "carol",
        "4111",
        "password",
        "0123456789abcdef",
    ] {
        assert!(!peek.text().contains(shown), "{shown}: {}", peek.text());
    }
    assert!(peek.text().contains("************1234"), "{}", peek.text());
    let ended = project.succeed(&["ingest", "--until-caught-up"]);
    assert!(!ended.text().contains("carol"), "{}", ended.text());
    let rows = format!(
        "SELECT email, card, secret, amount, order_code, region, sent_at > '2024-01-01', place FROM {name}_silver.orders"
    );
    let alice = "bc55b6f5fdc8ddc19d55842db3456c44fab6167acadac9cb71deb86ee883fd8d";
    let row = format!("{alice}\t************1234\t\\N\t1.5\t14\teu\t1\t2");
    assert_eq!(engine.rows(&rows).await, [row]);
    let letters = format!(
        "SELECT offset, reason, column, value LIKE '%carol@example.org%' FROM {name}_ops.dead_letters"
    );
    assert_eq!(engine.rows(&letters).await, ["3\tbad_value\tcode\t1"]);
}
