//! Messages as librdkafka hands them over: borrowed, freed with their batch.

use std::ffi::{CStr, CString, c_void};

use rdkafka_sys as ffi;

use crate::envelope::LARGEST_MESSAGE;

/// What one receive call brought. Everything borrowed from it lives as long as it does.
pub struct Received {
    pub(super) messages: Vec<*mut ffi::rd_kafka_message_t>,
    /// messages asked for by the last call
    pub(super) asked: usize,
    /// bytes that one call may bring, as far as the messages before it tell
    most_bytes: usize,
    /// bytes of a message, as we expect them: before any has come, as many as one may have that is decoded
    usual: usize,
}

/// One of them: a message, the end of a partition, or an error.
pub enum Item<'a> {
    Message(RawMessage<'a>),
    /// everything below `offset` has been handed over, and nothing above it exists yet
    EndOfPartition {
        topic: &'a CStr,
        partition: i32,
        offset: i64,
    },
    Error {
        code: ffi::RDKafkaErrorCode,
        topic: Option<&'a CStr>,
        partition: i32,
    },
}

#[derive(Clone, Copy)]
pub struct RawMessage<'a> {
    raw: Raw<'a>,
}

#[derive(Clone, Copy)]
enum Raw<'a> {
    Lent(&'a ffi::rd_kafka_message_t),
    Kept(&'a Kept),
}

/// A copy of a message, which outlives its receive call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// milliseconds since 1970
    pub timestamp: Option<i64>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Kept {
    pub fn of(message: &RawMessage<'_>) -> Kept {
        Kept {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.value().map(<[u8]>::to_vec),
            timestamp: message.timestamp(),
            headers: message.headers(),
        }
    }

    pub fn message(&self) -> RawMessage<'_> {
        RawMessage {
            raw: Raw::Kept(self),
        }
    }

    /// Memory held, headers aside.
    pub fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Kept>() + length(&self.key) + length(&self.value)
    }
}

impl Received {
    pub(super) fn with_capacity(most: usize, most_bytes: usize) -> Received {
        Received {
            messages: Vec::with_capacity(most),
            asked: 0,
            most_bytes,
            usual: LARGEST_MESSAGE,
        }
    }

    /// How many messages to ask for: librdkafka's call knows a number only, and refills its queue while it is emptied.
    pub(super) fn room(&self) -> usize {
        let wanted = self.most_bytes / self.usual.max(1);
        wanted.clamp(1, self.messages.capacity())
    }

    /// As many came as were asked for.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= self.asked
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.messages.iter().map(|message| {
            // SAFETY: librdkafka gave us the message; it is freed only in `clear`, which needs `&mut self`
            let raw = unsafe { &**message };
            match raw.err {
                ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Item::Message(RawMessage {
                    raw: Raw::Lent(raw),
                }),
                ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Item::EndOfPartition {
                    topic: topic_name(raw).unwrap_or_default(),
                    partition: raw.partition,
                    offset: raw.offset,
                },
                code => Item::Error {
                    code: code.into(),
                    topic: topic_name(raw),
                    partition: raw.partition,
                },
            }
        })
    }

    pub(super) fn clear(&mut self) {
        let (count, mut bytes) = (self.messages.len(), 0);
        for message in self.messages.drain(..) {
            // SAFETY: each message was given to us once and is freed once, after its length was read
            unsafe {
                bytes += (*message).len;
                ffi::rd_kafka_message_destroy(message);
            }
        }
        self.usual = expected(self.usual, bytes.checked_div(count));
    }
}

/// Bytes of the next message, by what was expected and what came on average: more is believed at once, less only by and by,
/// since large messages may come between small ones.
fn expected(before: usize, came: Option<usize>) -> usize {
    came.map_or(before, |came| came.max(before / 2))
}

impl Drop for Received {
    fn drop(&mut self) {
        self.clear();
    }
}

fn topic_name(raw: &ffi::rd_kafka_message_t) -> Option<&CStr> {
    if raw.rkt.is_null() {
        return None;
    }
    // SAFETY: the topic handle lives as long as its message, its name is NUL-terminated
    Some(unsafe { CStr::from_ptr(ffi::rd_kafka_topic_name(raw.rkt)) })
}

impl<'a> RawMessage<'a> {
    /// Equal for messages of the same topic of one consumer: cheaper to compare than names.
    pub fn topic_handle(&self) -> usize {
        match self.raw {
            Raw::Lent(raw) => raw.rkt as usize,
            Raw::Kept(_) => 0,
        }
    }

    /// Empty for a kept one: whoever keeps it knows.
    pub fn topic(&self) -> &'a CStr {
        match self.raw {
            Raw::Lent(raw) => topic_name(raw).unwrap_or_default(),
            Raw::Kept(_) => c"",
        }
    }

    pub fn partition(&self) -> i32 {
        match self.raw {
            Raw::Lent(raw) => raw.partition,
            Raw::Kept(kept) => kept.partition,
        }
    }

    pub fn offset(&self) -> i64 {
        match self.raw {
            Raw::Lent(raw) => raw.offset,
            Raw::Kept(kept) => kept.offset,
        }
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        match self.raw {
            Raw::Lent(raw) => bytes(raw.key, raw.key_len),
            Raw::Kept(kept) => kept.key.as_deref(),
        }
    }

    pub fn value(&self) -> Option<&'a [u8]> {
        match self.raw {
            Raw::Lent(raw) => bytes(raw.payload, raw.len),
            Raw::Kept(kept) => kept.value.as_deref(),
        }
    }

    /// Milliseconds since 1970, as the producer or the broker set them.
    pub fn timestamp(&self) -> Option<i64> {
        let raw = match self.raw {
            Raw::Lent(raw) => raw,
            Raw::Kept(kept) => return kept.timestamp,
        };
        let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, the type is written to our variable
        let millis = unsafe { ffi::rd_kafka_message_timestamp(raw, &raw mut kind) };
        (millis >= 0).then_some(millis)
    }

    /// The value of the last header of this name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let raw = match self.raw {
            Raw::Lent(raw) => raw,
            Raw::Kept(kept) => {
                let mut headers = kept.headers.iter().rev();
                return headers.find(|(found, _)| found == name)?.1.as_deref();
            }
        };
        let name = CString::new(name).ok()?;
        let mut headers = std::ptr::null_mut();
        let mut value: *const c_void = std::ptr::null();
        let mut size = 0;
        // SAFETY: the headers stay owned by the message, which is alive; the name is NUL-terminated
        unsafe {
            let code = ffi::rd_kafka_message_headers(raw, &raw mut headers);
            if code != ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            let code = ffi::rd_kafka_header_get_last(
                headers,
                name.as_ptr(),
                &raw mut value,
                &raw mut size,
            );
            if code != ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
        }
        bytes(value.cast_mut(), size)
    }

    /// Name and value of every header, in order.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let raw = match self.raw {
            Raw::Lent(raw) => raw,
            Raw::Kept(kept) => return kept.headers.clone(),
        };
        let mut headers = std::ptr::null_mut();
        // SAFETY: the headers stay owned by the message, which is alive
        let code = unsafe { ffi::rd_kafka_message_headers(raw, &raw mut headers) };
        if code != ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Vec::new();
        }
        let mut found = Vec::new();
        loop {
            let mut name = std::ptr::null();
            let mut value: *const c_void = std::ptr::null();
            let mut size = 0;
            // SAFETY: an index past the end is answered by an error code
            let code = unsafe {
                ffi::rd_kafka_header_get_all(
                    headers,
                    found.len(),
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                )
            };
            if code != ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return found;
            }
            // SAFETY: names are NUL-terminated and live as long as the message
            let name = unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned();
            found.push((name, bytes(value.cast_mut(), size).map(<[u8]>::to_vec)));
        }
    }
}

fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: librdkafka gives a null pointer or `length` readable bytes that live as long as the message;
    // callers tie the result to that lifetime
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_between_small_ones_are_asked_for_one_at_a_time() {
        let mut received = Received::with_capacity(10_000, 2 << 20);
        for bytes in [100, 20 << 20, 100, 20 << 20, 100, 100] {
            assert_eq!(received.room(), 1, "{bytes}");
            received.usual = expected(received.usual, Some(bytes));
        }
    }

    #[test]
    fn small_messages_soon_fill_the_buffer() {
        let mut received = Received::with_capacity(10_000, 2 << 20);
        let calls = (0..100).take_while(|_| {
            let room = received.room();
            received.usual = expected(received.usual, Some(100));
            room < 10_000
        });
        assert_eq!(calls.count(), 17);
    }
}
