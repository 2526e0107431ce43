//! The text of a schema, and after RS a datum that is read by it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bullion_fuzz::avro::check_schema(data));
