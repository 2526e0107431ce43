//! Flattened rows, as Debezium's ExtractNewRecordState leaves them, become the envelope that they were made from.
//!
//! ```text
//! {"id":1,"name":"a","__deleted":"false","__op":"u","__lsn":5,"__source_ts_ms":7}
//! {"after": {"id":1,"name":"a"},"source":{"lsn":5,"txId":null,"ts_ms":7},"op":"u","ts_ms":null}
//! ```

use std::collections::HashSet;

use super::decoder::LARGEST_MESSAGE;
use super::fate::{Fate, Reason, Reject};
use super::json::{Cursor, Step};
use super::message::Message;
use crate::error::{Error, Kind};
use crate::job::{Deletes, SilverJob};

/// Debezium adds this one by its own name, whatever the prefix of other fields.
const DELETED: &[u8] = b"__deleted";

#[derive(Debug)]
pub(super) struct Flattened {
    job: String,
    deletes: Deletes,
    prefix: Box<[u8]>,
    /// fields of the row, even where their names look added
    declared: HashSet<Box<[u8]>>,
    keyed: bool,
    out: Vec<u8>,
    /// where the envelope begins in `out`
    envelope: usize,
    name: Vec<u8>,
}

/// How the envelope begins; of the same length, because it is known only later whether the row was deleted.
const AFTER: &[u8; 10] = b"{\"after\": ";
const BEFORE: &[u8; 10] = b"{\"before\":";

/// Values of added fields, as they stand in the message.
#[derive(Default)]
struct Added<'a> {
    deleted: Option<&'a [u8]>,
    op: Option<&'a [u8]>,
    lsn: Option<&'a [u8]>,
    tx_id: Option<&'a [u8]>,
    source_time: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
}

impl Flattened {
    pub(super) fn new(job: &SilverJob) -> Flattened {
        let sources = job.columns.iter().map(|column| &column.source);
        let bytes = |name: &String| name.as_bytes().into();
        Flattened {
            job: job.name.clone(),
            deletes: job
                .flattened
                .as_ref()
                .map_or(Deletes::None, |flattened| flattened.deletes),
            prefix: job
                .flattened
                .as_ref()
                .map_or_else(Default::default, |flattened| bytes(&flattened.prefix)),
            declared: sources.chain(&job.exclude).map(bytes).collect(),
            keyed: !job.key.is_empty(),
            out: Vec::new(),
            envelope: 0,
            name: Vec::new(),
        }
    }

    pub(super) fn message<'a>(&'a mut self, message: &Message<'a>) -> Result<Message<'a>, Fate> {
        let Some(value) = message.value else {
            return Ok(*message);
        };
        if value.len() > LARGEST_MESSAGE {
            return Ok(*message);
        }
        let mut added = Added::default();
        match self.copy(value, &mut added) {
            Ok(true) => {}
            // another kind of message, or none: the decoder says which
            Ok(false) | Err(Reason::BadJson | Reason::BadValue | Reason::BadUtf8) => {
                return Ok(*message);
            }
            Err(reason) => return Err(Fate::Reject(reason.into())),
        }
        if self.deletes == Deletes::Rewrite && added.deleted.is_none() {
            return Err(Fate::Fail(self.unmarked(message)));
        }
        self.finish(&added).map_err(Fate::Reject)?;
        Ok(Message {
            value: Some(&self.out),
            ..*message
        })
    }

    /// Copies the row; whether it has any field of the job's table.
    fn copy<'a>(&mut self, value: &'a [u8], added: &mut Added<'a>) -> Step<bool> {
        self.out.clear();
        let (schema, mut cursor) = self.open(value)?;
        // as one field of the envelope's schema, so that it reads as any other
        if let Some(rest) = schema.and_then(|schema| schema.strip_prefix(b"{")) {
            self.out
                .extend_from_slice(b"{\"schema\":{\"fields\":[{\"field\":\"after\",");
            self.out.extend_from_slice(rest);
            self.out.extend_from_slice(b"]},\"payload\":");
        }
        self.envelope = self.out.len();
        self.out.extend_from_slice(AFTER);
        if !cursor.eat(b'{') {
            return Ok(false);
        }
        self.out.push(b'{');
        let (mut known, mut first) = (false, true);
        if !cursor.eat(b'}') {
            loop {
                cursor.peek();
                let start = cursor.at();
                let key = cursor.key()?;
                cursor.peek();
                let at = cursor.at();
                cursor.skip()?;
                let name = key.resolve(&mut self.name)?;
                let declared = self.declared.contains(name);
                known |= declared;
                let is_added = added.take(name, &self.prefix, cursor.since(at))?;
                if declared || !is_added {
                    if !first {
                        self.out.push(b',');
                    }
                    first = false;
                    self.out.extend_from_slice(cursor.since(start));
                }
                if !cursor.more(b'}')? {
                    break;
                }
            }
        }
        self.out.push(b'}');
        if schema.is_none() {
            cursor.end()?;
        }
        Ok(known)
    }

    /// The row's schema where it is wrapped with one, and a cursor at the row. A table may itself have columns of these
    /// names.
    fn open<'a>(&self, value: &'a [u8]) -> Step<(Option<&'a [u8]>, Cursor<'a>)> {
        let bare = Cursor::new(value);
        if self.declared.contains(b"payload".as_slice()) {
            return Ok((None, bare));
        }
        let mut cursor = bare;
        let (mut schema, mut payload) = (None, None);
        if !cursor.eat(b'{') || cursor.eat(b'}') {
            return Ok((None, bare));
        }
        loop {
            let name = cursor.key()?.raw;
            cursor.peek();
            let at = cursor.at();
            match name {
                b"schema" => {
                    cursor.skip()?;
                    schema = Some(cursor.since(at));
                }
                b"payload" => {
                    payload = Some(cursor);
                    cursor.skip()?;
                }
                _ => return Ok((None, bare)),
            }
            if !cursor.more(b'}')? {
                cursor.end()?;
                return Ok(payload.map_or((None, bare), |payload| (schema, payload)));
            }
        }
    }

    /// Writes what stands around the row.
    fn finish(&mut self, added: &Added<'_>) -> Result<(), Reject> {
        let wrapped = self.envelope > 0;
        let op: &[u8] = match (added.deleted()?, added.op) {
            (Some(true), _) => b"\"d\"",
            // it was deleted, and it was not
            (Some(false), Some(b"\"d\"")) => return Err(marked_badly()),
            (_, Some(op)) => op,
            // silver takes no update of a row that nothing names
            (_, None) if self.keyed => b"\"u\"",
            (_, None) => b"\"c\"",
        };
        let begin = self.out.get_mut(self.envelope..);
        if op == b"\"d\""
            && let Some(begin) = begin.and_then(|rest| rest.first_chunk_mut())
        {
            *begin = *BEFORE;
        }
        let null: &[u8] = b"null";
        for (name, value) in [
            (&b",\"source\":{\"lsn\":"[..], added.lsn.unwrap_or(null)),
            (b",\"txId\":", added.tx_id.unwrap_or(null)),
            (b",\"ts_ms\":", added.source_time.unwrap_or(null)),
            (b"},\"op\":", op),
            (b",\"ts_ms\":", added.time.unwrap_or(null)),
        ] {
            self.out.extend_from_slice(name);
            self.out.extend_from_slice(value);
        }
        self.out
            .extend_from_slice(if wrapped { b"}}" } else { b"}" });
        Ok(())
    }
}

impl Flattened {
    fn unmarked(&self, message: &Message<'_>) -> Error {
        let Message {
            topic,
            partition,
            offset,
            ..
        } = message;
        let message = format!(
            "job {}: topic {topic}, partition {partition}, offset {offset}: the message lacks `__deleted`, so deletes would go unseen",
            self.job
        );
        Error::new(Kind::Mismatch, message).advise(
            "set `delete.tombstone.handling.mode` to rewrite in the connector's transform, or declare `deletes` as it is",
        )
    }
}

impl<'a> Added<'a> {
    /// Notes a field that the connector added; whether it is one.
    fn take(&mut self, name: &[u8], prefix: &[u8], value: &'a [u8]) -> Step<bool> {
        let place = match name.strip_prefix(prefix) {
            _ if name == DELETED => &mut self.deleted,
            None => return Ok(false),
            Some(b"op") => &mut self.op,
            Some(b"lsn" | b"source_lsn") => &mut self.lsn,
            Some(b"txId" | b"source_txId") => &mut self.tx_id,
            Some(b"source_ts_ms") => &mut self.source_time,
            Some(b"ts_ms") => &mut self.time,
            Some(_) => return Ok(!prefix.is_empty()),
        };
        if place.is_some() {
            return Err(Reason::DuplicateField);
        }
        // added to every message, but without a value in this one
        *place = Some(value).filter(|value| *value != b"null");
        Ok(true)
    }

    /// Debezium writes it as text.
    fn deleted(&self) -> Result<Option<bool>, Reject> {
        match self.deleted {
            None => Ok(None),
            Some(b"\"true\"" | b"true") => Ok(Some(true)),
            Some(b"\"false\"" | b"false") => Ok(Some(false)),
            Some(_) => Err(marked_badly()),
        }
    }
}

fn marked_badly() -> Reject {
    Reject {
        reason: Reason::BadValue,
        column: Some(String::from_utf8_lossy(DELETED).into_owned()),
    }
}
