//! librdkafka's configuration: what bullion rests on, what makes it fast, what the user asked for.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use crate::budget;
use crate::config::{Kafka, Mechanism, Security};

/// Every property, in the order of precedence: defaults of ours ◀ the user's ◀ what correctness rests on.
pub fn consumer(config: &Kafka) -> BTreeMap<String, String> {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        properties.insert(name.to_owned(), value.to_owned());
    };
    for (name, value) in TUNING {
        set(name, value);
    }
    for (name, value) in bounds(config.memory) {
        set(name, &value);
    }
    let next_protocol = config
        .properties
        .get("group.protocol")
        .is_some_and(|p| p == "consumer");
    if !next_protocol {
        // under `group.protocol=consumer` the broker owns these, and librdkafka refuses them
        for (name, value) in CLASSIC_GROUP {
            set(name, value);
        }
    }
    for (name, value) in GUARANTEES {
        set(name, value);
    }
    // last, so that the test that breaks a guarantee on purpose can: `config` refuses them otherwise
    for (name, value) in &config.properties {
        set(name, value);
    }
    set("bootstrap.servers", &config.brokers);
    set("group.id", &config.group);
    for (name, value) in security(&config.security) {
        set(name, &value);
    }
    properties
}

/// Names of ours in librdkafka's words.
fn security(config: &Security) -> Vec<(&'static str, String)> {
    let mut set = Vec::new();
    if let Some(protocol) = config.protocol {
        set.push(("security.protocol", protocol.as_str().to_owned()));
    }
    let files = [
        ("ssl.ca.location", &config.ca_file),
        ("ssl.certificate.location", &config.certificate_file),
        ("ssl.key.location", &config.key_file),
    ];
    for (name, file) in files {
        let path = file.as_ref().map(|file| file.display().to_string());
        set.extend(path.map(|path| (name, path)));
    }
    if let Some(user) = &config.user {
        let mechanism = config.mechanism.unwrap_or(DEFAULT_MECHANISM);
        set.push(("sasl.mechanisms", mechanism.as_str().to_owned()));
        set.push(("sasl.username", user.clone()));
    }
    let secrets = [
        ("sasl.password", &config.password),
        ("ssl.key.password", &config.key_password),
    ];
    for (name, secret) in secrets {
        let text = secret
            .as_ref()
            .map(|secret| secret.expose_secret().to_owned());
        set.extend(text.map(|text| (name, text)));
    }
    set
}

/// The broker never learns the password, and every Kafka since 0.10.2 has it.
const DEFAULT_MECHANISM: Mechanism = Mechanism::ScramSha512;

const TUNING: [(&str, &str); 4] = [
    ("client.id", "bullion"),
    ("queued.min.messages", "20000"),
    // the default of 1000 ms is a stall whenever the queue was full
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "50"),
];

/// librdkafka's part of the memory budget: its own defaults are 64 MiB in the queue and 50 MiB a fetch.
fn bounds(memory: u64) -> [(&'static str, String); 3] {
    let queued = budget::queued_kilobytes(memory);
    [
        ("queued.max.messages.kbytes", queued.to_string()),
        ("fetch.max.bytes", budget::fetch(memory).to_string()),
        (
            "max.partition.fetch.bytes",
            budget::partition_fetch(memory).to_string(),
        ),
    ]
}

const CLASSIC_GROUP: [(&str, &str); 2] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    // a process that died keeps its partitions for so long
    ("session.timeout.ms", "10000"),
];

const GUARANTEES: [(&str, &str); 6] = [
    // offsets are committed by hand, after ClickHouse has the rows
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // lost offsets stop a job, they never jump in silence
    ("auto.offset.reset", "error"),
    // librdkafka's batch call counts the end that it tells as a message: after a pause the fetch would go on one offset
    // too far, which loses a message or stops the job; see `Consumer::positions`
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
    // a topic that does not exist is our error to report
    ("allow.auto.create.topics", "false"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FirstStart;

    fn kafka(properties: &[(&str, &str)]) -> Kafka {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Kafka {
            brokers: "b:9092".to_owned(),
            group: "g".to_owned(),
            first_start: FirstStart::Earliest,
            properties: properties.iter().map(owned).collect(),
            security: Security::default(),
            memory: 96 << 20,
        }
    }

    #[test]
    fn the_newer_group_protocol_is_not_given_the_classic_ones_properties() {
        let classic = consumer(&kafka(&[]));
        assert_eq!(
            classic["partition.assignment.strategy"],
            "cooperative-sticky"
        );
        let newer = consumer(&kafka(&[("group.protocol", "consumer")]));
        for (name, _) in CLASSIC_GROUP {
            assert!(!newer.contains_key(name), "{name}");
        }
        assert_eq!(newer["enable.auto.commit"], "false");
    }

    #[test]
    fn what_librdkafka_holds_follows_the_memory_budget() {
        let mut config = kafka(&[]);
        let default = consumer(&config);
        assert_eq!(default["queued.max.messages.kbytes"], "12582");
        assert_eq!(default["fetch.max.bytes"], "2097152");
        config.memory = 16 << 20;
        let small = consumer(&config);
        assert_eq!(small["queued.max.messages.kbytes"], "2097");
        assert_eq!(small["max.partition.fetch.bytes"], "262144");
    }

    #[test]
    fn what_the_user_sets_wins_over_tuning() {
        let properties = consumer(&kafka(&[("fetch.wait.max.ms", "5")]));
        assert_eq!(properties["fetch.wait.max.ms"], "5");
    }
}
