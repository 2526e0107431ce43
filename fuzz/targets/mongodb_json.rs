//! Messages of `mongodb-json`: Extended JSON within JSON, rewritten into the envelope.
#![no_main]

use bullion_fuzz::{check, job, messages};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check(job("documents"), messages(data));
});
