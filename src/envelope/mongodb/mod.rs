//! Changes of MongoDB collections become envelopes whose images are rows.
//!
//! ```text
//! key   {"id":"{\"$oid\":\"67ab…\"}"}                      ─▶ {"_id":"67ab…"}
//! value {"after":"{\"_id\":…,\"address\":{\"city\":…}}",…} ─▶ {"after":{"_id":"67ab…","address.city":…,"$":"{…}"},…}
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `extended` | the three spellings of Extended JSON into one |
//! | `fields` | a document into the fields of a row |
//! | `spell` | one value as the column's type is read |
//! | `date` | instants as text |

mod date;
mod extended;
mod fields;
mod spell;

use super::decoder::LARGEST_MESSAGE;
use super::fate::{Fate, Reason, Reject, Skip};
use super::json::{Cursor, Step};
use super::message::Message;
use crate::job::{LookupMiss, SilverJob};
use fields::Fields;

#[derive(Debug)]
pub(super) struct Mongodb {
    fields: Fields,
    lookup_miss: LookupMiss,
    key: Vec<u8>,
    value: Vec<u8>,
    /// a document as it was sent, and in the one spelling
    sent: Vec<u8>,
    relaxed: Vec<u8>,
}

/// What a payload says beside what is copied.
#[derive(Default)]
struct Payload<'a> {
    op: Option<&'a [u8]>,
    before: Option<Cursor<'a>>,
    after: Option<Cursor<'a>>,
    /// what an update changed: `updateDescription`, or `patch` before Debezium 2
    described: bool,
    patched: bool,
    seen: [bool; 3],
}

impl Mongodb {
    pub(super) fn new(job: &SilverJob) -> Mongodb {
        Mongodb {
            fields: Fields::new(job),
            lookup_miss: job.policies.lookup_miss,
            key: Vec::new(),
            value: Vec::new(),
            sent: Vec::new(),
            relaxed: Vec::new(),
        }
    }

    pub(super) fn message<'a>(&'a mut self, message: &Message<'a>) -> Result<Message<'a>, Fate> {
        let large = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.len() > LARGEST_MESSAGE);
        // framed by a registry: the decoder says so
        let framed = message.value.is_some_and(|value| value.first() == Some(&0));
        if framed || large(message.value) || large(message.key) {
            return Ok(*message);
        }
        let change = match message.value.map(|value| self.change(value)) {
            // a delete by its key
            None | Some(Ok(Change::Null)) => Change::Null,
            Some(Ok(change)) => change,
            // no JSON at all: the decoder says what is wrong with it
            Some(Err(reject)) if reject.reason == Reason::BadJson => return Ok(*message),
            Some(Err(reject)) => return Err(Fate::Reject(reject)),
        };
        match change {
            Change::Other => return Ok(*message),
            Change::Missed => return Err(Fate::Skip(Skip::LookupMiss)),
            Change::Null | Change::Row => {}
        }
        let keyed = message.key.map(|key| self.key(key)).transpose();
        let keyed = keyed.map_err(Fate::Reject)?;
        Ok(Message {
            key: keyed.map(|()| self.key.as_slice()),
            value: match change {
                Change::Row => Some(&self.value),
                _ => message.value,
            },
            ..*message
        })
    }

    /// Rewrites a value into `self.value`, where it is a change.
    fn change(&mut self, value: &[u8]) -> Result<Change, Reject> {
        simdutf8::basic::from_utf8(value).map_err(|_| Reason::BadUtf8)?;
        let Some(mut cursor) = payload(value)? else {
            return Ok(Change::Other);
        };
        if cursor.null()? {
            return Ok(Change::Null);
        }
        if cursor.peek() != Some(b'{') {
            return Ok(Change::Other);
        }
        self.value.clear();
        self.value.push(b'{');
        let payload = self.copy(&mut cursor)?;
        let Some(op) = payload.op else {
            return Ok(Change::Other);
        };
        if op == b"\"u\"" && payload.after.is_none() {
            if payload.patched || (payload.described && self.lookup_miss == LookupMiss::Reject) {
                return Err(Reason::PatchOnly.into());
            }
            return Ok(Change::Missed);
        }
        self.value.extend_from_slice(b"\"op\":");
        self.value.extend_from_slice(op);
        for (name, document, key_only) in [
            (
                &b",\"before\":"[..],
                payload.before.filter(|_| op == b"\"d\""),
                true,
            ),
            (b",\"after\":", payload.after, false),
        ] {
            self.value.extend_from_slice(name);
            match document {
                Some(document) => self.image(document, key_only)?,
                None => self.value.extend_from_slice(b"null"),
            }
        }
        self.value.push(b'}');
        Ok(Change::Row)
    }

    /// Copies what the decoder reads as it is, each member with a comma behind it.
    fn copy<'a>(&mut self, cursor: &mut Cursor<'a>) -> Step<Payload<'a>> {
        let mut payload = Payload::default();
        cursor.expect(b'{')?;
        if cursor.eat(b'}') {
            return Ok(payload);
        }
        loop {
            cursor.peek();
            let start = cursor.at();
            let name = cursor.key()?.raw;
            cursor.peek();
            let value = *cursor;
            cursor.skip()?;
            let text = cursor.since(value.at());
            let present = text != b"null";
            match name {
                b"op" => {
                    once(&mut payload.seen, 0)?;
                    payload.op = Some(text);
                }
                b"before" => {
                    once(&mut payload.seen, 1)?;
                    payload.before = present.then_some(value);
                }
                b"after" => {
                    once(&mut payload.seen, 2)?;
                    payload.after = present.then_some(value);
                }
                b"updateDescription" => payload.described |= present,
                b"patch" => payload.patched |= present,
                b"filter" => {}
                _ => {
                    self.value.extend_from_slice(cursor.since(start));
                    self.value.push(b',');
                }
            }
            if !cursor.more(b'}')? {
                return Ok(payload);
            }
        }
    }

    /// Appends the row of a document: a text of Extended JSON, or an object where somebody has unfolded the text.
    fn image(&mut self, mut document: Cursor<'_>, key_only: bool) -> Result<(), Reject> {
        self.relaxed.clear();
        let is_text = document.peek() == Some(b'"');
        let mut text = match is_text {
            true => Cursor::new(document.string()?.resolve(&mut self.sent)?),
            false => document,
        };
        if text.peek() != Some(b'{') {
            return Err(Reason::BadDocument.into());
        }
        let read = extended::relaxed(&mut text, &mut self.relaxed);
        let read = read.and_then(|()| if is_text { text.end() } else { Ok(()) });
        read.map_err(as_document)?;
        self.fields.row(&self.relaxed, key_only, &mut self.value)
    }

    /// Rewrites `{"id":"…"}` into `self.key`.
    fn key(&mut self, key: &[u8]) -> Result<(), Reject> {
        simdutf8::basic::from_utf8(key).map_err(|_| Reason::BadKey)?;
        let cursor = payload(key).map_err(|_| Reason::BadKey)?;
        let mut cursor = cursor.ok_or(Reason::BadKey)?;
        self.key.clear();
        if cursor.null()? {
            self.key.extend_from_slice(b"null");
            return Ok(());
        }
        let read = id(&mut cursor).and_then(|text| {
            let mut text = Cursor::new(text.resolve(&mut self.sent)?);
            self.relaxed.clear();
            extended::relaxed(&mut text, &mut self.relaxed)?;
            text.end()
        });
        read.map_err(|_| Reason::BadKey)?;
        self.fields.key(&self.relaxed, &mut self.key)
    }
}

enum Change {
    Row,
    /// a tombstone, or `null` spelled out
    Null,
    /// an update whose document was gone when the connector looked it up: its delete follows
    Missed,
    /// no change of a document
    Other,
}

fn once(seen: &mut [bool; 3], place: usize) -> Step<()> {
    match seen.get_mut(place) {
        Some(seen) if !*seen => {
            *seen = true;
            Ok(())
        }
        _ => Err(Reason::DuplicateField),
    }
}

fn id<'a>(cursor: &mut Cursor<'a>) -> Step<super::text::Text<'a>> {
    cursor.expect(b'{')?;
    if cursor.key()?.raw != b"id" {
        return Err(Reason::BadKey);
    }
    let text = cursor.string()?;
    match cursor.more(b'}')? {
        false => Ok(text),
        true => Err(Reason::BadKey),
    }
}

/// What is inside of `{"schema":…,"payload":…}`, or the message itself; nothing where it has trailing bytes.
fn payload(bytes: &[u8]) -> Step<Option<Cursor<'_>>> {
    let mut whole = Cursor::new(bytes);
    whole.skip()?;
    whole.end()?;
    let bare = Cursor::new(bytes);
    let mut cursor = bare;
    let mut found = None;
    if !cursor.eat(b'{') || cursor.eat(b'}') {
        return Ok(Some(bare));
    }
    loop {
        match cursor.key()?.raw {
            b"schema" => {}
            b"payload" => found = Some(cursor),
            _ => return Ok(Some(bare)),
        }
        cursor.skip()?;
        if !cursor.more(b'}')? {
            return Ok(found);
        }
    }
}

/// Faults of a document's text are the document's.
fn as_document(reason: Reason) -> Reason {
    match reason {
        Reason::BadJson | Reason::BadValue => Reason::BadDocument,
        other => other,
    }
}
