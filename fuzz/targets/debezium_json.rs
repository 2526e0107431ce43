//! Messages of `debezium-json`: keys, values, schemas, and what a decoder learns from one for the next.
#![no_main]

use bullion_fuzz::{check, job, messages};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for name in ["strict", "lenient", "options"] {
        check(job(name), messages(data));
    }
});
