//! Messages of `flattened-json`: rewritten into the envelope, then read as `debezium_json` are.
#![no_main]

use bullion_fuzz::{check, job, messages};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check(job("flattened"), messages(data));
});
