//! A message as Kafka gave it: what the decoder takes, and what a dead letter keeps.

use crate::batch::DeadLetter;
use crate::column;
use crate::envelope::{Headers, Message, Reject};
use crate::job::SilverJob;
use crate::source::RawMessage;

/// The value of a header, looked for only where a row depends on one: see [`Headers`].
pub fn header<'a>(raw: &'a RawMessage<'_>) -> impl Fn(&str) -> Option<Vec<u8>> + 'a {
    |name| raw.header(name).map(<[u8]>::to_vec)
}

/// Without the time that Kafka gave it, which few jobs need.
pub fn message<'a>(
    topic: &'a str,
    raw: &'a RawMessage<'_>,
    header: &'a impl Fn(&str) -> Option<Vec<u8>>,
) -> Message<'a> {
    Message {
        topic,
        partition: raw.partition(),
        offset: raw.offset(),
        key: raw.key(),
        value: raw.value(),
        timestamp: None,
        headers: Headers::of(header),
    }
}

/// The message as it came, and why it is no row.
pub fn dead_letter(job: &SilverJob, raw: &RawMessage<'_>, reject: Reject) -> DeadLetter {
    DeadLetter {
        partition: raw.partition(),
        offset: raw.offset(),
        // of the row that this message would have been
        version: column::version(job.epoch, raw.offset()),
        reason: reject.reason.as_str(),
        column: reject.column.unwrap_or_default(),
        key: raw.key().map(<[u8]>::to_vec),
        value: raw.value().map(<[u8]>::to_vec),
        headers: raw.headers(),
        message_time: raw.timestamp(),
    }
}
