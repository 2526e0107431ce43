//! Avro's inputs: what a registry would have answered, and bytes under it.

use std::sync::OnceLock;

use bullion::column::Rows;
use bullion::envelope::{Decoder, LARGEST_MESSAGE, Schema};

use crate::{MOST_MESSAGES, NEXT_MESSAGE, job, memory, message, tell};

pub const ENVELOPE: u32 = 1;
pub const ROW: u32 = 2;
const KEY: u32 = 3;
/// The schema that an input brings.
const UNKNOWN: u32 = 4;

/// A schema may cost so much whatever it says: as many types as are described at most, some hundred bytes each.
const MEMORY_OF_SCHEMA: usize = 64 << 20;
/// A row that is read by such a schema: a datum's JSON is no larger than a message, but for its last value, and a
/// vector that grows has twice of it.
const MEMORY_OF_ROW: usize = 4 * LARGEST_MESSAGE;

/// The schemas of `schemas/`, by the ids above.
pub fn known() -> &'static [(u32, Schema)] {
    static KNOWN: OnceLock<Vec<(u32, Schema)>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        [
            (ENVELOPE, include_str!("../schemas/envelope.json")),
            (ROW, include_str!("../schemas/row.json")),
            (KEY, include_str!("../schemas/key.json")),
        ]
        .map(|(id, text)| (id, Schema::parse(text).unwrap()))
        .into()
    })
}

type Framed = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Length of a key, key, two bytes of length of a value, value, and so on: what claims to be longer is cut, what has no
/// length is null.
pub fn datums(data: &[u8], schema: u32) -> Vec<Framed> {
    let mut rest = data;
    let mut part = |lengths: usize| {
        let (length, after) = rest.split_at(lengths.min(rest.len()));
        let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (datum, after) = after.split_at(length.min(after.len()));
        rest = after;
        (datum, after.is_empty())
    };
    let mut datums = Vec::new();
    while datums.len() < MOST_MESSAGES {
        let (key, _) = part(1);
        let (value, last) = part(2);
        datums.push((framed(KEY, key), framed(schema, value)));
        if last {
            break;
        }
    }
    datums
}

fn framed(id: u32, datum: &[u8]) -> Option<Vec<u8>> {
    (!datum.is_empty()).then(|| [&[0][..], &id.to_be_bytes(), datum].concat())
}

/// A text that is no schema is refused; one that is bounds what a datum costs.
pub fn check_schema(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == NEXT_MESSAGE);
    let (text, datum) = match end {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (schema, held) = memory::peak(|| Schema::parse(text));
    assert!(held <= MEMORY_OF_SCHEMA, "{held} bytes held for a schema of {}", text.len());
    let Ok(schema) = schema else {
        return;
    };
    let value = framed(UNKNOWN, datum);
    let told = ["avro", "avro_row"].map(|name| {
        let (job, schema) = (job(name), schema.clone());
        let (told, held) = memory::peak(|| {
            let mut decoder = Decoder::new(job);
            decoder.learn_schema(UNKNOWN, Some(schema));
            tell(&mut decoder, &message(job, 0, None, value.as_deref()), &mut Rows::new(job))
        });
        assert!(held <= MEMORY_OF_ROW, "{held} bytes held for a datum of {}", datum.len());
        told
    });
    drop(told);
}
