//! Next offsets, as the group is told them: one request after the other.
//!
//! librdkafka sends a request again whose connection was lost. Behind a later one it would take the group's offsets
//! back, so a commit is sent only when the one before it has its answer. librdkafka gives each of them one, at the latest
//! after three times `socket.timeout.ms` and once `session.timeout.ms`.

use std::time::{Duration, Instant};

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::answers::of;
use super::partitions::List;
use super::{Consumer, Partition, millis};
use crate::error::{Error, Kind, Result};

/// A commit that must be known before the partition is given up.
const COMMIT_ANSWER: Duration = Duration::from_secs(2);

/// What became of the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// it is under way since; nothing else may be sent
    Awaited(Instant),
    /// Kafka has it, or there was none
    Settled,
    /// of some partition at least; it is not under way any more
    Refused(Code),
}

/// Where the answers arrive.
pub(super) struct Answers {
    queue: *mut ffi::rd_kafka_queue_t,
    awaited: Option<Instant>,
}

impl Answers {
    /// # Safety
    /// `handle` must be alive, and outlive the answers.
    pub(super) unsafe fn of(handle: *mut ffi::rd_kafka_t) -> Answers {
        Answers {
            // SAFETY: as the caller promises
            queue: unsafe { ffi::rd_kafka_queue_new(handle) },
            awaited: None,
        }
    }

    /// # Safety
    /// Once, and before the handle is destroyed; nothing is asked afterwards.
    pub(super) unsafe fn destroy(&mut self) {
        // SAFETY: as the caller promises; librdkafka drops answers to a queue that is gone
        unsafe { ffi::rd_kafka_queue_destroy(self.queue) }
    }

    fn wait(&mut self, time: Duration) -> Committed {
        let Some(since) = self.awaited else {
            return Committed::Settled;
        };
        // SAFETY: the queue is alive; an event is read and freed here
        let code = unsafe {
            let event = ffi::rd_kafka_queue_poll(self.queue, millis(time));
            if event.is_null() {
                return Committed::Awaited(since);
            }
            let code = ffi::rd_kafka_event_error(event);
            ffi::rd_kafka_event_destroy(event);
            code
        };
        self.awaited = None;
        match of(code) {
            Ok(()) | Err(Code::NoOffset) => Committed::Settled,
            Err(code) => Committed::Refused(code),
        }
    }
}

impl Consumer {
    /// Whether the last commit has its answer; waits for it so long.
    pub fn last_commit(&mut self, time: Duration) -> Committed {
        self.commits.wait(time)
    }

    /// Sends next offsets to the group and does not wait; refused while another commit is under way.
    pub fn commit<'a>(
        &mut self,
        offsets: impl IntoIterator<Item = (&'a Partition, i64)>,
    ) -> Result<()> {
        if self.commits.awaited.is_some() {
            return Err(self.not_answered());
        }
        let list = List::at(offsets)?;
        // SAFETY: all pointers are alive; librdkafka copies the list
        let code = unsafe {
            ffi::rd_kafka_commit_queue(
                self.handle,
                list.as_ptr(),
                self.commits.queue,
                None,
                std::ptr::null_mut(),
            )
        };
        self.checked(code, "commit offsets")?;
        self.commits.awaited = Some(Instant::now());
        Ok(())
    }

    /// The same, and waits for its answer, and first for that of the commit before it, but no longer than a drain may take.
    pub fn commit_and_wait<'a>(
        &mut self,
        offsets: impl IntoIterator<Item = (&'a Partition, i64)>,
    ) -> Result<()> {
        let until = Instant::now() + COMMIT_ANSWER;
        let left = || until.saturating_duration_since(Instant::now());
        // refused or not, these offsets are not behind it
        self.commits.wait(left());
        self.commit(offsets)?;
        match self.commits.wait(left()) {
            Committed::Settled => Ok(()),
            Committed::Refused(code) => Err(self.explain(code, "commit offsets")),
            Committed::Awaited(_) => Err(self.not_answered()),
        }
    }

    fn not_answered(&self) -> Error {
        let message = format!(
            "kafka at {} has not answered the last commit of offsets",
            self.brokers
        );
        Error::new(Kind::Unreachable, message)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka_sys::{RDKafkaApiKey as Asked, RDKafkaRespErr as Answer};

    use super::super::offsets::tests::Cluster;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_commit_waits_for_the_one_before_it_whose_connection_was_lost() {
        let mut cluster = Cluster::new();
        let partition = cluster.partition.clone();
        // the first commit finds the coordinator, the second one is cut off and sent again by librdkafka
        cluster.commits(5);
        assert_eq!(cluster.consumer.last_commit(PATIENCE), Committed::Settled);
        let cut = [Answer::RD_KAFKA_RESP_ERR__TRANSPORT];
        cluster.mock.request_errors(Asked::OffsetCommit, &cut);
        cluster.commits(10);
        let Committed::Awaited(_) = cluster.consumer.last_commit(Duration::ZERO) else {
            panic!("it is answered already");
        };
        let refused = cluster.consumer.commit([(&partition, 20)]).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unreachable);
        cluster
            .consumer
            .commit_and_wait([(&partition, 30)])
            .unwrap();
        assert_eq!(cluster.committed(), Some(30));
        // nothing of the two others is on its way
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(cluster.committed(), Some(30));
    }

    #[test]
    fn a_refused_commit_is_told_and_the_next_one_may_follow() {
        let mut cluster = Cluster::new();
        let denied = [Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
        cluster.mock.request_errors(Asked::OffsetCommit, &denied);
        cluster.commits(10);
        let told = cluster.consumer.last_commit(PATIENCE);
        assert_eq!(told, Committed::Refused(Code::TopicAuthorizationFailed));
        assert_eq!(cluster.committed(), None);
        cluster.commits(20);
        assert_eq!(cluster.consumer.last_commit(PATIENCE), Committed::Settled);
        assert_eq!(cluster.committed(), Some(20));
    }
}
