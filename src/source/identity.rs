//! Who a topic is: the cluster it lives on, its id, how many partitions it has.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::answers::{of, until_it_stands};
use super::partitions::c_string;
use super::{ANSWER, Consumer, millis};
use crate::error::{Error, Kind, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    /// empty where the broker is too old to have topic ids
    pub topic_id: String,
    pub partitions: u32,
}

impl Consumer {
    /// Asks the brokers; a topic that does not exist is `Kind::NotFound`.
    pub fn identify(&self, topic: &str) -> Result<Identity> {
        self.identify_within(topic, ANSWER)
    }

    /// The same, where each of the three questions may take so long.
    pub fn identify_within(&self, topic: &str, patience: Duration) -> Result<Identity> {
        let cluster_id = self.cluster_id(patience)?;
        let broker = self.any_broker(patience)?;
        let name = c_string(topic)?;
        let described = until_it_stands(patience, |time| self.describe(&name, broker, time));
        let (topic_id, partitions) = described.map_err(|code| match code {
            Code::UnknownTopicOrPartition => Error::new(
                Kind::NotFound,
                format!("kafka at {} has no topic {topic}", self.brokers),
            )
            .advise("check `topic` in the job; Debezium makes a topic when it publishes its first change"),
            code => self.explain(code, &format!("describe topic {topic}")),
        })?;
        Ok(Identity {
            cluster_id,
            topic_id,
            partitions,
        })
    }

    fn describe(
        &self,
        topic: &CStr,
        broker: i32,
        patience: Duration,
    ) -> Result<(String, u32), Code> {
        let mut names = [topic.as_ptr()];
        // SAFETY: librdkafka copies the name
        let topics = unsafe { ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1) };
        let read = self.ask(
            ffi::RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            // any broker can answer; without this librdkafka waits for a controller, which a mock cluster lacks
            Some(broker),
            patience,
            |options, answers| {
                // SAFETY: the topics are freed after the answer
                unsafe { ffi::rd_kafka_DescribeTopics(self.handle, topics, options, answers) };
            },
            // SAFETY: the event is valid
            |event| unsafe { read_answer(event) },
        );
        // SAFETY: made above, used no more
        unsafe { ffi::rd_kafka_TopicCollection_destroy(topics) };
        read
    }

    pub(super) fn any_broker(&self, patience: Duration) -> Result<i32> {
        let mut metadata = std::ptr::null();
        // SAFETY: the answer is ours to free, once it has been read
        unsafe {
            let code = ffi::rd_kafka_metadata(
                self.handle,
                0,
                std::ptr::null_mut(),
                &raw mut metadata,
                millis(patience),
            );
            self.checked(code, "read the list of brokers")?;
            let broker = (*metadata).orig_broker_id;
            ffi::rd_kafka_metadata_destroy(metadata);
            Ok(broker)
        }
    }

    /// Whether a broker has answered, or does so within `patience`.
    pub(super) fn knows_cluster(&self, patience: Duration) -> bool {
        self.read_cluster_id(patience).is_some()
    }

    fn cluster_id(&self, patience: Duration) -> Result<String> {
        self.read_cluster_id(patience).ok_or_else(|| {
            let code = ffi::RDKafkaErrorCode::BrokerTransportFailure;
            self.explain(code, "read the cluster id")
        })
    }

    fn read_cluster_id(&self, patience: Duration) -> Option<String> {
        // SAFETY: the text is ours to free
        unsafe {
            let text = ffi::rd_kafka_clusterid(self.handle, millis(patience));
            if text.is_null() {
                return None;
            }
            let id = CStr::from_ptr(text).to_string_lossy().into_owned();
            ffi::rd_kafka_mem_free(self.handle, text.cast());
            Some(id)
        }
    }
}

/// A topic's id and its number of partitions.
///
/// # Safety
/// `event` must be a valid event of a live consumer.
unsafe fn read_answer(event: *mut ffi::rd_kafka_event_t) -> Result<(String, u32), Code> {
    // SAFETY: the event is valid, its parts live as long as it does
    unsafe {
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let described = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if result.is_null() || described.is_null() || count == 0 {
            return Err(Code::UnknownTopicOrPartition);
        }
        let description = *described;
        let error = ffi::rd_kafka_TopicDescription_error(description);
        of(ffi::rd_kafka_error_code(error))?;
        let mut partitions = 0;
        ffi::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        let id = ffi::rd_kafka_TopicDescription_topic_id(description);
        let text = if id.is_null() {
            std::ptr::null()
        } else {
            ffi::rd_kafka_Uuid_base64str(id)
        };
        let id = if text.is_null() {
            String::new()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        };
        Ok((id, u32::try_from(partitions).unwrap_or(u32::MAX)))
    }
}
