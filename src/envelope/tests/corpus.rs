//! What the fuzzer has found worth keeping, read once more: see `fuzz/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{message, tell};
use crate::column::Rows;
use crate::config::Config;
use crate::envelope::{Decoder, Fate};
use crate::job::{Jobs, SilverJob};

/// Between two messages of one input, and between a key and its value.
const NEXT_MESSAGE: u8 = 0x1e;
const END_OF_KEY: u8 = 0x1f;

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(path)
}

fn jobs() -> Vec<SilverJob> {
    let mask_key = ("BULLION_MASK_KEY".to_owned(), "0123456789abcdef".to_owned());
    let environment = BTreeMap::from([mask_key]);
    let config = Config::load_from(Some(&fuzz("bullion.toml")), &environment).unwrap();
    Jobs::load(&config).unwrap().silver
}

/// Every input of a target, by the name of its file.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(fuzz("corpus").join(target)).unwrap();
    let input = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.map(input).collect()
}

type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A key and a value, or a value alone; what is empty is null.
fn pair(part: &[u8]) -> Pair<'_> {
    match part.iter().position(|byte| *byte == END_OF_KEY) {
        Some(at) => (filled(&part[..at]), filled(&part[at + 1..])),
        None => (None, filled(part)),
    }
}

fn filled(side: &[u8]) -> Option<&[u8]> {
    (!side.is_empty()).then_some(side)
}

/// One row for each fate that is one; the same from a decoder that is new and from one that has learnt.
fn holds(job: &SilverJob, input: &str, messages: &[Pair<'_>]) {
    let (mut learnt, mut batch) = (Decoder::new(job), Rows::new(job));
    for (offset, (key, value)) in messages.iter().enumerate() {
        let message = message(offset as i64, *key, *value);
        let before = batch.len();
        let fate = learnt.decode(&message, &mut batch);
        let appended = usize::from(matches!(fate, Fate::Row));
        assert_eq!(batch.len(), before + appended, "{input}");
        // a source that is watched is compared with what was learnt of it
        if job.policies.new_column.watches_source() {
            continue;
        }
        let (mut new, mut rows) = (Decoder::new(job), Rows::new(job));
        let by_new = new.decode(&message, &mut rows);
        assert_eq!(tell(&fate, &batch), tell(&by_new, &rows), "{input}");
    }
    batch.finish().encode_native(&mut Vec::new());
}

#[test]
fn everything_that_fuzzing_has_found_keeps_the_rules() {
    let delete: &[u8] = br#"{"before":null,"after":null,"op":"d"}"#;
    let jobs = jobs();
    let job = |name: &str| jobs.iter().find(|job| job.name == name).unwrap();
    for (name, data) in inputs("key") {
        holds(
            job("strict"),
            &name,
            &[(Some(&data), None), (Some(&data), Some(delete))],
        );
    }
    for (target, named) in [
        ("debezium_json", ["strict", "lenient", "options"].as_slice()),
        ("flattened_json", &["flattened"]),
        ("mongodb_json", &["documents"]),
    ] {
        for (name, data) in inputs(target) {
            let messages: Vec<Pair<'_>> =
                data.split(|byte| *byte == NEXT_MESSAGE).map(pair).collect();
            for job_name in named {
                holds(job(job_name), &name, &messages);
            }
        }
    }
}
