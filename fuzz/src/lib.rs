//! What has to hold of every input, whatever its bytes:
//!
//! - no panic;
//! - exactly one row where the fate is a row, and nothing otherwise;
//! - the same fate and the same row from a decoder that is new and from one that has read the messages before;
//! - memory bounded by the message's length.

pub mod avro;
mod memory;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use bullion::column::Rows;
use bullion::config::Config;
use bullion::envelope::{Decoder, Fate, Headers, Message, Schema};
use bullion::job::{Jobs, SilverJob};

/// Between two messages of one input, and between a key and its value: no JSON text holds either.
const NEXT_MESSAGE: u8 = 0x1e;
const END_OF_KEY: u8 = 0x1f;
/// A decoder learns from a message and forgets after four schemas: more tell nothing new.
const MOST_MESSAGES: usize = 4;
/// Of columns with `mask = "hash"`.
const MASK_KEY: (&str, &str) = ("BULLION_MASK_KEY", "0123456789abcdef");
/// A message may cost so many bytes for each of its own …
const MEMORY_PER_BYTE: usize = 64;
/// … and this much for what is made once: layouts of the job's columns, first allocations of vectors.
const MEMORY_AT_LEAST: usize = 64 << 10;

/// The job of this name in `jobs/silver`.
pub fn job(name: &str) -> &'static SilverJob {
    static JOBS: OnceLock<Jobs> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (name, key) = MASK_KEY;
        let environment = BTreeMap::from([(name.to_owned(), key.to_owned())]);
        let config = Config::load_from(Some(&here.join("bullion.toml")), &environment).unwrap();
        Jobs::load(&config).unwrap()
    });
    jobs.silver.iter().find(|job| job.name == name).unwrap()
}

/// `key US value RS key US value …`, or a value alone; what is empty is null.
pub fn messages(data: &[u8]) -> impl Iterator<Item = (Option<&[u8]>, Option<&[u8]>)> {
    let parts = data.split(|byte| *byte == NEXT_MESSAGE);
    parts.take(MOST_MESSAGES).map(|part| {
        match part.iter().position(|byte| *byte == END_OF_KEY) {
            Some(at) => (filled(&part[..at]), filled(&part[at + 1..])),
            None => (None, filled(part)),
        }
    })
}

fn filled(side: &[u8]) -> Option<&[u8]> {
    (!side.is_empty()).then_some(side)
}

/// Decodes each message by decoders that are new and not, and holds them to the rules.
pub fn check<'a>(
    job: &SilverJob,
    messages: impl Iterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
) {
    check_taught(job, &[], messages);
}

/// The same, by decoders that know these schemas.
pub fn check_taught<'a>(
    job: &SilverJob,
    schemas: &[(u32, Schema)],
    messages: impl Iterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
) {
    let new = || {
        let mut decoder = Decoder::new(job);
        for (id, schema) in schemas {
            decoder.learn_schema(*id, Some(schema.clone()));
        }
        decoder
    };
    // a source that is watched is compared with what was learnt of it: there the fate depends on what came before
    let is_watched = job.policies.new_column.watches_source();
    let mut learnt = new();
    let mut batch = Rows::new(job);
    let mut length = 0;
    for (offset, (key, value)) in messages.enumerate() {
        let message = message(job, offset as i64, key, value);
        length += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let (told, held) = memory::peak(|| tell(&mut learnt, &message, &mut batch));
        assert!(
            held <= MEMORY_AT_LEAST + MEMORY_PER_BYTE * length,
            "{held} bytes held for messages of {length}"
        );
        if offset > 0 && !is_watched {
            let by_new = tell(&mut new(), &message, &mut Rows::new(job));
            assert_eq!(told, by_new, "message {offset}");
        }
    }
    let mut native = Vec::new();
    batch.finish().encode_native(&mut native);
}

fn message<'a>(
    job: &'a SilverJob,
    offset: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
) -> Message<'a> {
    Message {
        topic: &job.topic,
        partition: 0,
        offset,
        key,
        value,
        timestamp: Some(1_700_000_000_000),
        headers: Headers::NONE,
    }
}

/// The fate in words, with the row that was appended.
fn tell(decoder: &mut Decoder, message: &Message<'_>, rows: &mut Rows) -> String {
    let before = rows.len();
    let fate = decoder.decode(message, rows);
    let appended = usize::from(matches!(fate, Fate::Row));
    assert_eq!(rows.len(), before + appended);
    match fate {
        Fate::Row => rows.show(before),
        other => format!("{other:?}"),
    }
}
