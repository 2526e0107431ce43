//! Kafka: assign, receive, commit, rebalance.
//!
//! One consumer, used by one thread. Batches are received through librdkafka's batch call; a rebalance is only
//! *noted* by its callback and answered by the flow with [`Consumer::assign`] or [`Consumer::unassign`], after it has
//! drained what it must.

mod admin;
mod answers;
mod callbacks;
mod commits;
mod group;
mod identity;
mod message;
mod offsets;
mod partitions;
mod properties;
mod topics;
mod welcome;

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka_sys as ffi;

use callbacks::{Noted, configuration};
use commits::Answers;
pub use commits::Committed;
pub use group::Member;
pub use identity::Identity;
pub use message::{Item, Kept, RawMessage, Received};
use partitions::List;
pub use partitions::{Partition, Positioned};

use crate::budget;
use crate::config::Kafka;
use crate::error::{Error, Kind, Result};

/// Most messages of one receive call: enough to amortise the call.
const MOST_MESSAGES: usize = 10_000;
/// How long Kafka may take to answer a question, however often it is asked meanwhile.
pub const ANSWER: Duration = Duration::from_secs(10);

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
    commits: Answers,
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
            // SAFETY: the handle is alive, and destroyed after them in `drop`
            commits: unsafe { Answers::of(handle) },
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

    /// Frees what was received, which the next call would: a large message is not to be there while it is written.
    pub fn free_received(&mut self) {
        self.received.clear();
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
}

impl Drop for Consumer {
    /// Leaves the group. Revocations that this causes are answered by the callback itself.
    fn drop(&mut self) {
        self.noted.closing.store(true, Ordering::Release);
        self.received.clear();
        // SAFETY: each is freed once, the queues before their handle, the callbacks' state after both
        unsafe {
            ffi::rd_kafka_assign(self.handle, std::ptr::null());
            self.commits.destroy();
            ffi::rd_kafka_queue_destroy(self.queue);
            ffi::rd_kafka_consumer_close(self.handle);
            ffi::rd_kafka_destroy(self.handle);
        }
    }
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}
