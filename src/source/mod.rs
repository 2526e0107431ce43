//! Kafka: assign, receive, commit, rebalance.
//!
//! One consumer, used by one thread. Batches are received through librdkafka's batch call; a rebalance is only
//! *noted* by its callback and answered by the flow with [`Consumer::assign`] or [`Consumer::unassign`], after it has
//! drained what it must.

mod callbacks;
mod identity;
mod message;
mod partitions;
mod properties;
mod topics;
mod welcome;

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka_sys as ffi;

use callbacks::{Noted, configuration};
pub use identity::Identity;
pub use message::{Item, Kept, RawMessage, Received};
use partitions::{List, c_string};
pub use partitions::{Partition, Positioned};

use crate::budget;
use crate::config::Kafka;
use crate::error::{Error, Kind, Result};

/// Most messages of one receive call: enough to amortise the call.
const MOST_MESSAGES: usize = 10_000;
/// How long Kafka may take to answer a question that is asked once.
pub const ANSWER: Duration = Duration::from_secs(10);
/// A commit that must be known before the partition is given up.
const COMMIT_ANSWER: Duration = Duration::from_secs(2);

/// What the group wants from us, until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
    /// taken away without asking: nothing may be committed for them any more
    Lost(Vec<Partition>),
}

pub struct Consumer {
    handle: *mut ffi::rd_kafka_t,
    queue: *mut ffi::rd_kafka_queue_t,
    noted: Box<Noted>,
    brokers: String,
    received: Received,
}

// SAFETY: librdkafka's handles may be used from any thread; `&mut self` on `receive` keeps batch calls to one at a time
unsafe impl Send for Consumer {}

impl Consumer {
    pub fn new(config: &Kafka) -> Result<Consumer> {
        let noted = Box::new(Noted::default());
        let conf = configuration(config, &noted)?;
        let mut message = [0 as c_char; 512];
        // SAFETY: on success the configuration belongs to the handle; on failure it stays ours and the process ends
        let handle = unsafe {
            ffi::rd_kafka_new(
                ffi::RDKafkaType::RD_KAFKA_CONSUMER,
                conf,
                message.as_mut_ptr(),
                message.len(),
            )
        };
        if handle.is_null() {
            // SAFETY: librdkafka wrote a NUL-terminated text
            let text = unsafe { CStr::from_ptr(message.as_ptr()) }
                .to_string_lossy()
                .into_owned();
            return Err(Error::new(
                Kind::Config,
                format!("kafka properties: {text}"),
            ));
        }
        // SAFETY: the handle is a fresh consumer
        let queue = unsafe {
            ffi::rd_kafka_poll_set_consumer(handle);
            ffi::rd_kafka_queue_get_consumer(handle)
        };
        Ok(Consumer {
            handle,
            queue,
            noted,
            brokers: config.brokers.clone(),
            received: Received::with_capacity(MOST_MESSAGES, budget::received(config.memory)),
        })
    }

    pub fn subscribe<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let list = List::of_topics(topics)?;
        // SAFETY: both pointers are alive
        self.checked(
            unsafe { ffi::rd_kafka_subscribe(self.handle, list.as_ptr()) },
            "subscribe",
        )
    }

    /// Waits up to `timeout` and gives what has come; rebalances are noted on the way.
    pub fn receive(&mut self, timeout: Duration) -> &Received {
        self.received.clear();
        let room = self.received.room();
        self.received.asked = room;
        // SAFETY: the buffer has room for as many pointers as we say; only those written are kept
        let count = unsafe {
            ffi::rd_kafka_consume_batch_queue(
                self.queue,
                millis(timeout),
                self.received.messages.as_mut_ptr(),
                room,
            )
        };
        // SAFETY: the call wrote `count` valid message pointers from the start of the buffer
        unsafe {
            self.received
                .messages
                .set_len(usize::try_from(count).unwrap_or(0))
        };
        &self.received
    }

    /// The next thing the group wants, in order.
    pub fn rebalance(&self) -> Option<Rebalance> {
        let mut noted = self
            .noted
            .rebalances
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.pop_front()
    }

    /// Puts back what could not be answered yet.
    pub fn postpone(&self, rebalance: Rebalance) {
        let mut noted = self
            .noted
            .rebalances
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.push_front(rebalance);
    }

    /// Whether a topic was found to be gone since the last call.
    pub fn has_missed_topic(&self) -> bool {
        self.noted.missed_topic.swap(false, Ordering::AcqRel)
    }

    /// Somebody else found a topic to be gone.
    pub fn miss_topic(&self) {
        self.noted.missed_topic.store(true, Ordering::Release);
    }

    /// Whether Kafka has refused a commit since the last call.
    pub fn has_lost_commit(&self) -> bool {
        self.noted.lost_commit.swap(false, Ordering::AcqRel)
    }

    /// Answers [`Rebalance::Assigned`]: from where each partition is read.
    pub fn assign(&self, offsets: &[(Partition, i64)]) -> Result<()> {
        let list = List::of(
            offsets
                .iter()
                .map(|(partition, offset)| (partition, Some(*offset))),
        )?;
        if self.is_cooperative() {
            // SAFETY: both pointers are alive
            let error = unsafe { ffi::rd_kafka_incremental_assign(self.handle, list.as_ptr()) };
            return self.owned_error(error, "assign");
        }
        self.assign_exactly(offsets)
    }

    /// Reads these partitions without a group.
    pub fn assign_exactly(&self, offsets: &[(Partition, i64)]) -> Result<()> {
        let list = List::of(
            offsets
                .iter()
                .map(|(partition, offset)| (partition, Some(*offset))),
        )?;
        // SAFETY: both pointers are alive
        self.checked(
            unsafe { ffi::rd_kafka_assign(self.handle, list.as_ptr()) },
            "assign",
        )
    }

    /// Answers [`Rebalance::Revoked`] and [`Rebalance::Lost`].
    pub fn unassign(&self, partitions: &[Partition]) -> Result<()> {
        if self.is_cooperative() {
            let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
            // SAFETY: both pointers are alive
            let error = unsafe { ffi::rd_kafka_incremental_unassign(self.handle, list.as_ptr()) };
            return self.owned_error(error, "unassign");
        }
        // SAFETY: a null list means no partition at all
        let code = unsafe { ffi::rd_kafka_assign(self.handle, std::ptr::null()) };
        self.checked(code, "unassign")
    }

    fn is_cooperative(&self) -> bool {
        // SAFETY: the handle is alive; the text is static
        let protocol = unsafe { ffi::rd_kafka_rebalance_protocol(self.handle) };
        // SAFETY: a non-null answer is NUL-terminated
        !protocol.is_null() && unsafe { CStr::from_ptr(protocol) } == c"COOPERATIVE"
    }

    /// What the group has committed for these partitions.
    pub fn committed(&self, partitions: &[Partition]) -> Result<Vec<Positioned>> {
        let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
        // SAFETY: both pointers are alive; the list is written in place
        let code = unsafe { ffi::rd_kafka_committed(self.handle, list.as_ptr(), millis(ANSWER)) };
        self.checked(code, "read committed offsets")?;
        Ok(list.read())
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
        let (mut low, mut high) = (0, 0);
        let topic = c_string(&partition.topic)?;
        // SAFETY: the handle is alive, the offsets are written to our variables
        let code = unsafe {
            ffi::rd_kafka_query_watermark_offsets(
                self.handle,
                topic.as_ptr(),
                partition.number,
                &raw mut low,
                &raw mut high,
                millis(ANSWER),
            )
        };
        self.checked(code, &format!("read the offsets of {partition}"))?;
        Ok((low, high))
    }

    /// First offset whose message is as late as `millis` since 1970; `None` where no message is.
    pub fn offsets_at(
        &self,
        partitions: &[Partition],
        millis_1970: i64,
    ) -> Result<Vec<Positioned>> {
        let list = List::of(
            partitions
                .iter()
                .map(|partition| (partition, Some(millis_1970))),
        )?;
        // SAFETY: both pointers are alive; the list is written in place
        let code =
            unsafe { ffi::rd_kafka_offsets_for_times(self.handle, list.as_ptr(), millis(ANSWER)) };
        self.checked(code, "look for the offsets of a time")?;
        Ok(list.read())
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

    /// Sends next offsets to the group and does not wait: a lost commit only means redelivery.
    pub fn commit<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a Partition, i64)>,
    ) -> Result<()> {
        let list = List::at(offsets)?;
        // SAFETY: both pointers are alive; librdkafka copies the list
        let code = unsafe { ffi::rd_kafka_commit(self.handle, list.as_ptr(), 1) };
        self.checked(code, "commit offsets")
    }

    /// The same, and waits for the answer, but no longer than a drain may take.
    pub fn commit_and_wait<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a Partition, i64)>,
    ) -> Result<()> {
        let list = List::at(offsets)?;
        // SAFETY: queue and event are made, used and freed here; the list is copied
        unsafe {
            let answers = ffi::rd_kafka_queue_new(self.handle);
            let sent = ffi::rd_kafka_commit_queue(
                self.handle,
                list.as_ptr(),
                answers,
                None,
                std::ptr::null_mut(),
            );
            let code = if sent == ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let event = ffi::rd_kafka_queue_poll(answers, millis(COMMIT_ANSWER));
                let code = if event.is_null() {
                    ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT
                } else {
                    ffi::rd_kafka_event_error(event)
                };
                if !event.is_null() {
                    ffi::rd_kafka_event_destroy(event);
                }
                code
            } else {
                sent
            };
            ffi::rd_kafka_queue_destroy(answers);
            self.checked(code, "commit offsets")
        }
    }

    /// Stops fetching these partitions; polling goes on.
    pub fn pause(&self, partitions: &[Partition]) -> Result<()> {
        let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
        // SAFETY: both pointers are alive
        let code = unsafe { ffi::rd_kafka_pause_partitions(self.handle, list.as_ptr()) };
        self.checked(code, "pause partitions")
    }

    pub fn resume(&self, partitions: &[Partition]) -> Result<()> {
        let list = List::of(partitions.iter().map(|partition| (partition, None)))?;
        // SAFETY: both pointers are alive
        let code = unsafe { ffi::rd_kafka_resume_partitions(self.handle, list.as_ptr()) };
        self.checked(code, "resume partitions")
    }

    fn checked(&self, code: ffi::RDKafkaRespErr, doing: &str) -> Result<()> {
        match code {
            ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(self.explain(code.into(), doing)),
        }
    }

    fn owned_error(&self, error: *mut ffi::rd_kafka_error_t, doing: &str) -> Result<()> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: a non-null error is ours to read and to free, once
        let code = unsafe {
            let code = ffi::rd_kafka_error_code(error);
            ffi::rd_kafka_error_destroy(error);
            code
        };
        self.checked(code, doing)
    }

    /// Sorts librdkafka's codes into kinds and names the brokers.
    pub fn explain(&self, code: ffi::RDKafkaErrorCode, doing: &str) -> Error {
        use ffi::RDKafkaErrorCode as Code;
        let (kind, what) = match code {
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => (Kind::Denied, "kafka refused"),
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                (Kind::NotFound, "kafka has no such topic")
            }
            Code::OffsetOutOfRange | Code::AutoOffsetReset => (Kind::Gap, "offset is gone"),
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut => (Kind::Unreachable, "cannot reach kafka"),
            _ => (Kind::Busy, "kafka"),
        };
        let error = Error::new(kind, format!("{what} at {}: {doing}: {code}", self.brokers));
        match code {
            Code::TopicAuthorizationFailed => {
                error.advise("give kafka.user READ and DESCRIBE on the topic: docs/security.md has the command")
            }
            Code::GroupAuthorizationFailed => {
                error.advise("give kafka.user READ on the group of kafka.group: docs/security.md has the command")
            }
            _ => error,
        }
    }
}

impl Drop for Consumer {
    /// Leaves the group. Revocations that this causes are answered by the callback itself.
    fn drop(&mut self) {
        self.noted.closing.store(true, Ordering::Release);
        self.received.clear();
        // SAFETY: each is freed once, the queue before its handle, the callbacks' state after both
        unsafe {
            ffi::rd_kafka_assign(self.handle, std::ptr::null());
            ffi::rd_kafka_queue_destroy(self.queue);
            ffi::rd_kafka_consumer_close(self.handle);
            ffi::rd_kafka_destroy(self.handle);
        }
    }
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}
