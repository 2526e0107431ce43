//! Datums under known schemas: envelopes, and rows alone.
#![no_main]

use bullion_fuzz::avro::{ENVELOPE, ROW, datums, known};
use bullion_fuzz::{check_taught, job};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (name, value) in [("avro", ENVELOPE), ("avro_row", ROW)] {
        let framed = datums(data, value);
        let messages = framed.iter().map(|(key, value)| (key.as_deref(), value.as_deref()));
        check_taught(job(name), known(), messages);
    }
});
