//! Next offsets, as the group is told them.

use std::time::Duration;

use rdkafka_sys as ffi;

use super::partitions::List;
use super::{Consumer, Partition, millis};
use crate::error::Result;

/// A commit that must be known before the partition is given up.
const COMMIT_ANSWER: Duration = Duration::from_secs(2);

impl Consumer {
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
}
