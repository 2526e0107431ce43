//! A question to the brokers by librdkafka's admin interface.

use std::ffi::c_char;
use std::time::Duration;

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::answers::of;
use super::{Consumer, millis};

/// What librdkafka may have to say about an option that it refuses; it is not read.
type Refusal = [c_char; 256];

impl Consumer {
    /// Asks, waits, and reads the answer. `ask` gets the options and the queue that the answer goes to, `read` an event
    /// without an error; both live until this returns. `broker`: the one that is asked, else librdkafka chooses.
    pub(super) fn ask<T>(
        &self,
        question: ffi::RDKafkaAdminOp,
        broker: Option<i32>,
        patience: Duration,
        ask: impl FnOnce(*const ffi::rd_kafka_AdminOptions_t, *mut ffi::rd_kafka_queue_t),
        read: impl FnOnce(*mut ffi::rd_kafka_event_t) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let mut refusal: Refusal = [0; 256];
        // SAFETY: every object made here is freed here; the event owns the answer until then
        unsafe {
            let options = ffi::rd_kafka_AdminOptions_new(self.handle, question);
            ffi::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(patience),
                refusal.as_mut_ptr(),
                refusal.len(),
            );
            if let Some(broker) = broker {
                ffi::rd_kafka_AdminOptions_set_broker(
                    options,
                    broker,
                    refusal.as_mut_ptr(),
                    refusal.len(),
                );
            }
            let answers = ffi::rd_kafka_queue_new(self.handle);
            ask(options, answers);
            // librdkafka answers within the request's timeout; twice that is a fault of its own
            let event = ffi::rd_kafka_queue_poll(answers, 2 * millis(patience));
            let answer = match event.is_null() {
                true => Err(Code::OperationTimedOut),
                false => of(ffi::rd_kafka_event_error(event)).and_then(|()| read(event)),
            };
            if !event.is_null() {
                ffi::rd_kafka_event_destroy(event);
            }
            ffi::rd_kafka_queue_destroy(answers);
            ffi::rd_kafka_AdminOptions_destroy(options);
            answer
        }
    }
}
