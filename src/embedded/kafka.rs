//! Kafka without a server: librdkafka's own mock cluster inside this process. It forgets everything at exit.
//!
//! A partition keeps only its last 5 MB as sent and says nothing when it drops more, so whoever fills it looks at
//! [`MockKafka::lost`] afterwards.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::error::{Error, Kind, Result};

/// The cluster answers from this very process; longer means that it never will.
const ANSWER: Duration = Duration::from_secs(30);
/// Seconds instead of Kafka's 45: who is killed is missed by the group at its next look, once a second.
const MEMBER_TIMEOUT: Duration = Duration::from_millis(1500);
const MEMBER_HEARTBEAT: Duration = Duration::from_millis(200);

/// Consumers must use the newer protocol here: the mock's classic groups wait for members that were killed.
pub const CONSUMER_PROPERTIES: &str = "group.protocol=consumer";

/// One broker and the producer that fills it; the cluster lives as long as this value.
pub struct MockKafka {
    /// before the cluster, so that it is gone when the cluster goes
    watcher: BaseConsumer,
    producer: ThreadedProducer<DefaultProducerContext>,
    pub brokers: String,
}

/// One message as it was captured, with its coordinates but its offset.
pub struct Captured<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// milliseconds since 1970
    pub timestamp: i64,
    pub headers: OwnedHeaders,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl MockKafka {
    /// `group` is the one whose committed offsets [`MockKafka::committed`] shows.
    pub fn start(group: &str) -> Result<MockKafka> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            // messages of a partition keep their order even when a batch is sent again
            .set("max.in.flight.requests.per.connection", "1")
            .create()
            .map_err(|error| failed("start the mock cluster", error))?;
        shorten_timeouts(&producer);
        let brokers = producer
            .client()
            .mock_cluster()
            .ok_or_else(|| Error::new(Kind::Internal, "librdkafka made no mock cluster"))?
            .bootstrap_servers();
        let watcher = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", group)
            .create()
            .map_err(|error| failed("look at the mock cluster", error))?;
        Ok(MockKafka {
            producer,
            watcher,
            brokers,
        })
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let cluster = self.producer.client().mock_cluster();
        let cluster = cluster.ok_or_else(|| Error::new(Kind::Internal, "no mock cluster"))?;
        cluster
            .create_topic(topic, partitions, 1)
            .map_err(|error| failed(&format!("create topic {topic}"), error))
    }

    /// Hands one message over; [`MockKafka::flush`] says when the cluster has it.
    pub fn send(&self, message: Captured<'_>) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(message.topic)
            .partition(message.partition)
            .timestamp(message.timestamp)
            .headers(message.headers);
        record.key = message.key;
        record.payload = message.value;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.flush()?;
                }
                Err((error, _)) => {
                    return Err(failed(&format!("produce to {}", message.topic), error));
                }
            }
        }
    }

    /// Waits until everything sent so far has its offset.
    pub fn flush(&self) -> Result<()> {
        let flushed = self.producer.flush(ANSWER);
        flushed.map_err(|error| failed("produce to the mock cluster", error))
    }

    /// First offset that still exists and first that does not yet.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let found = self.watcher.fetch_watermarks(topic, partition, ANSWER);
        found.map_err(|error| failed(&format!("read the offsets of {topic} {partition}"), error))
    }

    /// The first partition that dropped messages to stay within its 5 MB.
    pub fn lost(&self, partitions: &[(String, i32)]) -> Result<Option<(String, i32)>> {
        for (topic, partition) in partitions {
            if self.watermarks(topic, *partition)?.0 > 0 {
                return Ok(Some((topic.clone(), *partition)));
            }
        }
        Ok(None)
    }

    /// Next offsets that the group has committed, of all partitions together.
    pub fn committed(&self, partitions: &[(String, i32)]) -> Result<i64> {
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions {
            asked.add_partition(topic, *partition);
        }
        let found = self
            .watcher
            .committed_offsets(asked, ANSWER)
            .map_err(|error| failed("read committed offsets", error))?;
        let offsets = found.elements();
        Ok(offsets
            .iter()
            .filter_map(|partition| partition.offset().to_raw())
            .filter(|offset| *offset > 0)
            .sum())
    }
}

fn shorten_timeouts(producer: &ThreadedProducer<DefaultProducerContext>) {
    let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the producer was made with a mock cluster of its own, which lives as long as it does; both calls only
    // set a number under the cluster's lock
    unsafe {
        let cluster = rdkafka_sys::rd_kafka_handle_mock_cluster(producer.client().native_ptr());
        if !cluster.is_null() {
            rdkafka_sys::rd_kafka_mock_set_group_consumer_session_timeout_ms(
                cluster,
                millis(MEMBER_TIMEOUT),
            );
            rdkafka_sys::rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(
                cluster,
                millis(MEMBER_HEARTBEAT),
            );
        }
    }
}

fn failed(doing: &str, error: KafkaError) -> Error {
    Error::new(Kind::Internal, format!("cannot {doing}")).because(error)
}
