//! A connector of the test's own in the stack's Kafka Connect.

use serde_json::{Map, Value, json};

use super::{PATIENCE, http, network, stack, wait_for};

/// Deletes its connector when the test ends: dozens that run on, each with its heartbeats, slow the one worker down.
pub struct Connector(String);

impl Connector {
    /// Of that name, whether it has been started yet or not.
    pub fn named(name: &str) -> Connector {
        Connector(name.to_owned())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let url = format!("{}/connectors/{}", stack("BULLION_CONNECT_URL"), self.0);
        // nobody waits for it, and a worker that is gone needs no clearing
        network().spawn(async move { http().delete(url).send().await });
    }
}

/// Starts a connector by these settings, later ones instead of earlier ones, and waits until it runs.
pub async fn start_connector(name: &str, own: &[(&str, &str)], settings: &[(&str, &str)]) {
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    let every = [
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "microseconds"),
        ("heartbeat.interval.ms", "500"),
        ("poll.interval.ms", "50"),
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.replication.factor", "1"),
        ("key.converter", JSON),
        ("key.converter.schemas.enable", "false"),
        ("key.converter.replace.null.with.default", "false"),
        ("value.converter", JSON),
        ("value.converter.schemas.enable", "false"),
        ("value.converter.replace.null.with.default", "false"),
    ];
    let config: Map<String, Value> = every
        .iter()
        .chain(own)
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let connectors = format!("{}/connectors", stack("BULLION_CONNECT_URL"));
    let http = http();
    let url = format!("{connectors}/{name}/config");
    let answer = http.put(&url).json(&config).send().await.unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        answer.text().await.unwrap()
    );
    wait_for("the connector to run", PATIENCE, || async {
        let answer = http
            .get(format!("{connectors}/{name}/status"))
            .send()
            .await
            .ok()?;
        let status: Value = answer.json().await.ok()?;
        let state = status["tasks"][0]["state"].as_str()?;
        assert_ne!(state, "FAILED", "{status}");
        (state == "RUNNING").then_some(())
    })
    .await;
}

/// Those that a run of this test left behind.
pub async fn remove_connectors(test: &str) {
    let connectors = format!("{}/connectors", stack("BULLION_CONNECT_URL"));
    let names: Vec<String> = http()
        .get(&connectors)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for name in names.iter().filter(|name| is_of(test, name)) {
        http()
            .delete(format!("{connectors}/{name}"))
            .send()
            .await
            .unwrap();
    }
}

/// Whether it is `<test>_<process>`, with or without more behind it: `flattened` owns nothing of `flattened_older`'s.
pub fn is_of(test: &str, name: &str) -> bool {
    let rest = name
        .strip_prefix(test)
        .and_then(|rest| rest.strip_prefix('_'));
    let process = rest.and_then(|rest| rest.split('_').next());
    process.is_some_and(|process| process.parse::<u32>().is_ok())
}
