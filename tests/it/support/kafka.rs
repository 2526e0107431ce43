//! A topic of the test's own on the stack's Kafka, filled by hand where Debezium is not the point.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{stack, wait_for};

/// How long the broker of a busy machine may take.
const ANSWER: Duration = Duration::from_secs(30);

pub struct Topic {
    pub name: String,
    partitions: i32,
    brokers: String,
    producer: BaseProducer,
}

impl Topic {
    /// A new topic `<name>.<process>`.
    pub async fn create(name: &str, partitions: i32) -> Topic {
        Topic::create_on(&stack("BULLION_KAFKA_BROKERS"), name, partitions).await
    }

    /// The same on a Kafka of the test's own.
    pub async fn create_on(brokers: &str, name: &str, partitions: i32) -> Topic {
        let topic = Topic {
            name: format!("{name}.{}", std::process::id()),
            partitions,
            brokers: brokers.to_owned(),
            producer: producer(&[("bootstrap.servers", brokers)]),
        };
        topic.make(partitions).await;
        topic
    }

    /// One that is there already, by another producer.
    pub fn known(name: &str, partitions: i32) -> Topic {
        Topic {
            name: name.to_owned(),
            partitions,
            brokers: stack("BULLION_KAFKA_BROKERS"),
            producer: producer(&[]),
        }
    }

    async fn make(&self, partitions: i32) {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let made = self
            .admin()
            .create_topics([&new], &AdminOptions::new())
            .await;
        assert!(made.unwrap()[0].is_ok(), "{}", self.name);
        wait_for("the topic", ANSWER, || async {
            let end = self.end(partitions - 1);
            (end == Some(0)).then_some(())
        })
        .await;
    }

    pub async fn delete(&mut self) {
        // one that knows the topic would make it again: the broker creates what producers ask for
        self.producer = producer(&[("bootstrap.servers", &self.brokers)]);
        let deleted = self
            .admin()
            .delete_topics(&[&self.name], &AdminOptions::new())
            .await;
        assert!(deleted.unwrap()[0].is_ok());
        let looking: BaseConsumer = client(&self.brokers).create().unwrap();
        wait_for("the topic to be gone", ANSWER, || async {
            let metadata = looking.fetch_metadata(Some(&self.name), ANSWER).ok()?;
            metadata.topics()[0].error().map(|_| ())
        })
        .await;
    }

    /// The same name, another topic.
    pub async fn recreate(&mut self, partitions: i32) {
        self.delete().await;
        self.partitions = partitions;
        wait_for("the topic's name to be free", ANSWER, || async {
            let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
            let made = self
                .admin()
                .create_topics([&new], &AdminOptions::new())
                .await;
            made.unwrap()[0].is_ok().then_some(())
        })
        .await;
    }

    pub async fn grow(&self, partitions: usize) {
        let more = NewPartitions::new(&self.name, partitions);
        let made = self
            .admin()
            .create_partitions([&more], &AdminOptions::new())
            .await;
        assert!(made.unwrap()[0].is_ok());
    }

    /// The broker takes messages of so many bytes, once this is answered.
    pub async fn allow_messages_of(&self, bytes: usize) {
        let bytes = bytes.to_string();
        let topic = ResourceSpecifier::Topic(&self.name);
        let config = AlterConfig::new(topic).set("max.message.bytes", &bytes);
        let admin = self.admin();
        let altered = admin.alter_configs([&config], &AdminOptions::new()).await;
        assert!(altered.unwrap()[0].is_ok());
    }

    /// Deletes what lies below `offset`, as retention does.
    pub async fn delete_below(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
            .unwrap();
        self.admin()
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    }

    pub fn send(&self, partition: i32, key: Option<&str>, value: Option<&[u8]>) {
        send(&self.producer, &self.name, partition, key, value);
    }

    /// Everything sent is on the broker.
    pub fn flush(&self) {
        self.producer.flush(ANSWER).unwrap();
    }

    /// A change of the row `id`, spread over the partitions by its id.
    pub fn change(&self, op: char, id: i64, note: &str) {
        let partition = i32::try_from(id).unwrap() % self.partitions;
        let value = change(op, id, note);
        self.send(partition, Some(&key(id)), Some(value.as_bytes()));
    }

    pub fn insert(&self, ids: std::ops::Range<i64>) {
        for id in ids {
            self.change('c', id, "x");
        }
        self.flush();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.brokers).create().unwrap()
    }

    /// First offset that does not exist yet.
    pub fn end(&self, partition: i32) -> Option<i64> {
        let marks = self
            .producer
            .client()
            .fetch_watermarks(&self.name, partition, ANSWER);
        marks.ok().map(|(_, high)| high)
    }

    /// What the group has committed, by partition; 0 where nothing.
    pub fn committed(&self, group: &str) -> Vec<i64> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.name, partition);
        }
        let mut config = client(&self.brokers);
        let member: BaseConsumer = config.set("group.id", group).create().unwrap();
        let found = member.committed_offsets(list, ANSWER).unwrap();
        found
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().unwrap_or(0).max(0))
            .collect()
    }
}

pub fn key(id: i64) -> String {
    format!(r#"{{"id":{id}}}"#)
}

/// As Debezium writes it without its schema.
pub fn change(op: char, id: i64, note: &str) -> String {
    let image = format!(r#"{{"id":{id},"note":"{note}"}}"#);
    let (before, after) = match op {
        'd' => (image.as_str(), "null"),
        _ => ("null", image.as_str()),
    };
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"ts_ms":1700000000000}},"op":"{op}","ts_ms":1700000000001}}"#
    )
}

/// The same inside of an envelope that carries its schema.
pub fn change_with_schema(op: char, id: i64, note: &str) -> String {
    let image = r#"{"type":"struct","optional":true,"fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"field":"note"}]"#;
    format!(
        r#"{{"schema":{{"type":"struct","optional":false,"name":"Envelope","fields":[{image},"field":"before"}},{image},"field":"after"}},{{"type":"string","optional":false,"field":"op"}}]}},"payload":{}}}"#,
        change(op, id, note)
    )
}

pub fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    key: Option<&str>,
    value: Option<&[u8]>,
) {
    let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic).partition(partition);
    record.key = key;
    record.payload = value;
    while let Err((error, returned)) = producer.send(record) {
        assert!(error.to_string().contains("Queue full"), "{error}");
        producer.poll(Duration::from_millis(10));
        record = returned;
    }
}

pub fn producer(properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = client(&stack("BULLION_KAFKA_BROKERS"));
    config
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "4000000")
        .set("linger.ms", "5");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// Speaks for the group without being one of it.
pub fn member(group: &str) -> BaseConsumer {
    let mut config = client(&stack("BULLION_KAFKA_BROKERS"));
    config.set("group.id", group).create().unwrap()
}

pub async fn forget_group(group: &str) {
    let admin: AdminClient<DefaultClientContext> =
        client(&stack("BULLION_KAFKA_BROKERS")).create().unwrap();
    let deleted = admin.delete_groups(&[group], &AdminOptions::new()).await;
    assert!(deleted.unwrap()[0].is_ok());
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}
