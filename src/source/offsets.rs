//! How far partitions reach, and what the group has committed of them.

use std::time::Duration;

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::answers::{of, passes, until_it_stands};
use super::partitions::{List, c_string};
use super::{ANSWER, Consumer, Partition, Positioned, millis};
use crate::error::Result;

/// A partition's leader is asked for so long and then looked for anew: librdkafka itself repeats a question to the
/// broker that it chose at first, also when another one leads by now.
const LEADER_ANSWER: Duration = Duration::from_secs(3);

impl Consumer {
    /// What the group has committed for these partitions.
    pub fn committed(&self, partitions: &[Partition]) -> Result<Vec<Positioned>> {
        let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
        let found = until_it_stands(ANSWER, |time| {
            // SAFETY: both pointers are alive; the list is written in place
            of(unsafe { ffi::rd_kafka_committed(self.handle, list.as_ptr(), millis(time)) })?;
            let found = list.read();
            // "not now" must not be taken for "nothing is committed"
            match fault(&found).filter(|code| passes(*code)) {
                Some(code) => Err(code),
                None => Ok(found),
            }
        });
        found.map_err(|code| self.explain(code, "read committed offsets"))
    }

    /// Next offsets of these partitions after everything that was received, control records included; `None` before
    /// the first. What lies below a position was received or needs no fate.
    pub fn positions(&self, partitions: &[Partition]) -> Result<Vec<Positioned>> {
        let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
        // SAFETY: both pointers are alive; the list is written in place, from librdkafka's memory
        let code = unsafe { ffi::rd_kafka_position(self.handle, list.as_ptr()) };
        self.checked(code, "read positions")?;
        Ok(list.read())
    }

    /// First offset that exists and first that does not yet, asked from the broker.
    pub fn watermarks(&self, partition: &Partition) -> Result<(i64, i64)> {
        let topic = c_string(&partition.topic)?;
        let found = until_it_stands(ANSWER, |time| {
            let (mut low, mut high) = (0, 0);
            // SAFETY: the handle is alive, the offsets are written to our variables
            of(unsafe {
                ffi::rd_kafka_query_watermark_offsets(
                    self.handle,
                    topic.as_ptr(),
                    partition.number,
                    &raw mut low,
                    &raw mut high,
                    millis(time.min(LEADER_ANSWER)),
                )
            })?;
            Ok((low, high))
        });
        found.map_err(|code| self.explain(code, &format!("read the offsets of {partition}")))
    }

    /// First offset whose message is as late as `millis_1970`; `None` where no message is.
    pub fn offsets_at(
        &self,
        partitions: &[Partition],
        millis_1970: i64,
    ) -> Result<Vec<Positioned>> {
        let asked = List::at(partitions.iter().map(|partition| (partition, millis_1970)))?;
        let found = until_it_stands(ANSWER, |time| {
            let list = asked.copy();
            // SAFETY: both pointers are alive; the list is written in place
            of(unsafe {
                ffi::rd_kafka_offsets_for_times(
                    self.handle,
                    list.as_ptr(),
                    millis(time.min(LEADER_ANSWER)),
                )
            })?;
            let found = list.read();
            // where one is not known its time is still in the place of its offset
            fault(&found).map_or(Ok(found), Err)
        });
        found.map_err(|code| self.explain(code, "look for the offsets of a time"))
    }

    /// The partition's end as the last fetch saw it; `None` before the first.
    pub fn known_end(&self, partition: &Partition) -> Option<i64> {
        let (mut low, mut high) = (0, 0);
        let topic = c_string(&partition.topic).ok()?;
        // SAFETY: as above; this one only reads librdkafka's memory
        let code = unsafe {
            ffi::rd_kafka_get_watermark_offsets(
                self.handle,
                topic.as_ptr(),
                partition.number,
                &raw mut low,
                &raw mut high,
            )
        };
        let known = code == ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
        known.then_some(high)
    }
}

/// What was said of the first partition that has no answer.
fn fault(found: &[Positioned]) -> Option<Code> {
    found.iter().find_map(|found| found.error)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka_sys::{RDKafkaApiKey as Asked, RDKafkaRespErr as Answer};

    use super::*;
    use crate::config::{FirstStart, Kafka, Security};
    use crate::error::Kind;

    /// librdkafka's own, which answers when it is told to what real brokers answer for a moment.
    pub struct Cluster {
        pub mock: MockCluster<'static, DefaultProducerContext>,
        pub consumer: Consumer,
        pub partition: Partition,
    }

    impl Cluster {
        /// Two brokers; the first one leads the topic's only partition.
        pub fn new() -> Cluster {
            let mock = MockCluster::new(2).unwrap();
            mock.create_topic("t", 1, 1).unwrap();
            mock.partition_leader("t", 0, Some(1)).unwrap();
            let consumer = Consumer::connect(&Kafka {
                brokers: mock.bootstrap_servers(),
                group: "g".to_owned(),
                first_start: FirstStart::Earliest,
                properties: BTreeMap::new(),
                security: Security::default(),
                memory: 96 << 20,
            });
            Cluster {
                mock,
                consumer: consumer.unwrap(),
                partition: Partition {
                    topic: "t".to_owned(),
                    number: 0,
                },
            }
        }

        pub fn commits(&mut self, next: i64) {
            self.consumer.commit([(&self.partition, next)]).unwrap();
        }

        pub fn committed(&self) -> Option<i64> {
            let partitions = [self.partition.clone()];
            self.consumer.committed(&partitions).unwrap()[0].offset
        }
    }

    #[test]
    fn a_leader_that_moves_is_found_again() {
        let cluster = Cluster::new();
        assert_eq!(
            cluster.consumer.watermarks(&cluster.partition).unwrap(),
            (0, 0)
        );
        cluster.mock.partition_leader("t", 0, Some(2)).unwrap();
        assert_eq!(
            cluster.consumer.watermarks(&cluster.partition).unwrap(),
            (0, 0)
        );
    }

    #[test]
    fn what_passes_is_asked_again() {
        let cluster = Cluster::new();
        let partitions = [cluster.partition.clone()];
        for answer in [
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            Answer::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
            Answer::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        ] {
            cluster.mock.request_errors(Asked::ListOffsets, &[answer]);
            let found = cluster.consumer.watermarks(&cluster.partition);
            assert_eq!(found.unwrap(), (0, 0), "{answer:?}");
            cluster.mock.request_errors(Asked::ListOffsets, &[answer]);
            let found = cluster.consumer.offsets_at(&partitions, 1_700_000_000_000);
            assert_eq!(found.unwrap()[0].offset, None, "{answer:?}");
        }
        for answer in [
            Answer::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Answer::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            Answer::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        ] {
            cluster.mock.request_errors(Asked::OffsetFetch, &[answer]);
            let found = cluster.consumer.committed(&partitions);
            assert_eq!(found.unwrap()[0].offset, None, "{answer:?}");
        }
    }

    /// Asked again, it would be answered.
    #[test]
    fn what_stands_is_an_error_at_once() {
        let cluster = Cluster::new();
        let partitions = [cluster.partition.clone()];
        let denied = [Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2];
        cluster.mock.request_errors(Asked::ListOffsets, &denied);
        let found = cluster.consumer.watermarks(&cluster.partition);
        assert_eq!(found.unwrap_err().kind(), Kind::Denied);
        cluster.mock.clear_request_errors(Asked::ListOffsets);
        let denied = [Answer::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED];
        cluster.mock.request_errors(Asked::OffsetFetch, &denied);
        let found = cluster.consumer.committed(&partitions);
        assert_eq!(found.unwrap_err().kind(), Kind::Denied);
    }
}
