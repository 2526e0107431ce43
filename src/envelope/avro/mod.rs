//! Avro with a schema registry, rewritten into the JSON that Connect's JsonConverter would have written.
//!
//! ```text
//! 00 | id, four bytes | datum   (Confluent's framing)
//! datum                         (Apicurio's: the id is in a header, eight bytes)
//! ```
//!
//! The schema of an id never changes, so it is asked for once; whoever calls the decoder asks the registry.

mod datum;
mod schema;

use std::collections::HashMap;

use super::decoder::LARGEST_MESSAGE;
use super::fate::{Fate, Reason, Reject};
use super::message::Message;
pub use schema::Schema;

/// Schemas kept at a time. A topic has one for keys and one for values, and one more for each change of its table.
const SCHEMAS_KEPT: usize = 256;
/// Where Apicurio's converter writes the id with `headers.enabled=true`.
const KEY_HEADER: &str = "apicurio.key.contentId";
const VALUE_HEADER: &str = "apicurio.value.contentId";

#[derive(Debug, Default)]
pub(super) struct Avro {
    /// nothing where the registry has no such schema, or none that can be read
    known: HashMap<u32, Option<Schema>>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Avro {
    /// The first schema that the message needs and nobody has told yet.
    pub(super) fn missing(&self, message: &Message<'_>) -> Option<u32> {
        [VALUE_HEADER, KEY_HEADER]
            .into_iter()
            .filter_map(|part| framing(part, message))
            .map(|(id, _)| id)
            .find(|id| !self.known.contains_key(id))
    }

    pub(super) fn learn(&mut self, id: u32, schema: Option<Schema>) {
        if self.known.len() >= SCHEMAS_KEPT {
            self.known.clear();
        }
        self.known.insert(id, schema);
    }

    pub(super) fn message<'a>(&'a mut self, message: &Message<'a>) -> Result<Message<'a>, Fate> {
        let Avro { known, key, value } = self;
        // a key written by another converter is read as it is
        let framed_key = match framing(KEY_HEADER, message) {
            None => message.key,
            Some(framed) => {
                json(known, framed, key).map_err(|reason| Fate::from(as_key(reason)))?;
                Some(key.as_slice())
            }
        };
        let value = match message.value {
            None => None,
            // the decoder says what is wrong with these
            Some(bytes) if bytes.is_empty() || bytes.len() > LARGEST_MESSAGE => Some(bytes),
            Some(_) => {
                let framed = framing(VALUE_HEADER, message).ok_or(Reason::WrongEncoding);
                framed
                    .and_then(|framed| json(known, framed, value))
                    .map_err(Fate::from)?;
                Some(value.as_slice())
            }
        };
        Ok(Message {
            key: framed_key,
            value,
            ..*message
        })
    }
}

/// The schema's id, and the datum.
fn framing<'a>(part: &str, message: &Message<'a>) -> Option<(u32, &'a [u8])> {
    let bytes = if part == KEY_HEADER {
        message.key
    } else {
        message.value
    };
    let bytes = bytes.filter(|bytes| bytes.len() <= LARGEST_MESSAGE)?;
    // a bare datum may begin with any byte, so the header is looked at first
    if let Some(id) = message.headers.find(part) {
        let id = u64::from_be_bytes(id.try_into().ok()?);
        return Some((u32::try_from(id).ok()?, bytes));
    }
    let (&[magic, a, b, c, d], datum) = bytes.split_first_chunk::<5>()?;
    (magic == 0).then_some((u32::from_be_bytes([a, b, c, d]), datum))
}

fn json(
    known: &HashMap<u32, Option<Schema>>,
    (id, datum): (u32, &[u8]),
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    let schema = known.get(&id).and_then(Option::as_ref);
    let schema = schema.ok_or(Reason::UnknownSchema)?;
    out.clear();
    out.extend_from_slice(&schema.prefix);
    datum::write(schema, datum, out)?;
    out.push(b'}');
    Ok(())
}

fn as_key(reason: Reason) -> Reason {
    match reason {
        Reason::BadAvro | Reason::BadUtf8 | Reason::TooDeep => Reason::BadKey,
        other => other,
    }
}

impl From<Reason> for Fate {
    fn from(reason: Reason) -> Fate {
        Fate::Reject(Reject::from(reason))
    }
}
