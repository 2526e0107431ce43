//! Kafka keys alone, in the two messages that are read by their key: a null value, and a delete without an image.
#![no_main]

use bullion_fuzz::{check, job};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let delete: &[u8] = br#"{"before":null,"after":null,"op":"d"}"#;
    let messages = [(Some(data), None), (Some(data), Some(delete))];
    check(job("strict"), messages.into_iter());
});
