//! What the envelopes of a topic have in common, so that only what differs is read.
//!
//! ```text
//! {"before": ▢ ,"after": ▢ ,"source":{"version":"3.1.0.Final",…,"ts_ms": ▢ ,…,"lsn": ▢ ,"xmin":null},…,"op": ▢ }
//!  compared     row         compared in one piece                 value
//! ```
//!
//! It is learnt from messages that the plain walk has read, so equal bytes have an equal meaning. A message that differs
//! anywhere is read by the plain walk from its start.

use std::collections::{HashMap, HashSet};

use super::fate::Reject;
use super::json::{Cursor, Step};
use super::open::Shape;
use super::plan::Plan;
use super::progress::Progress;
use super::walk::{Envelope, Noted, lenient_integer, op};
use crate::column::Rows;

/// Fields outside the row whose values are remembered; further ones count as ever changing.
const MOST_FIELDS: usize = 64;
/// Longer values are not compared but walked over.
const LONGEST_CONSTANT: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Before,
    After,
    Op,
    Note(Noted),
    /// a value that nobody needs
    Other,
    End,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Skeleton {
    /// bytes to compare, and what stands behind them
    parts: Vec<(Vec<u8>, Slot)>,
    last: HashMap<Vec<u8>, Vec<u8>>,
    changing: HashSet<Vec<u8>>,
}

impl Skeleton {
    /// Reads an envelope of the learnt form; nothing where it has another form or a fault, and then the cells of the
    /// row are anywhere.
    #[inline]
    pub(super) fn read<'a>(
        shape: &mut Shape,
        cursor: &mut Cursor<'a>,
        plan: &Plan,
        rows: &mut Rows,
        progress: &mut Progress,
    ) -> Option<Envelope<'a>> {
        let mut envelope = Envelope::default();
        let Shape { row, skeleton, .. } = shape;
        for (literal, slot) in &skeleton.parts {
            if !cursor.rest().starts_with(literal) {
                return None;
            }
            cursor.advance(literal.len());
            match slot {
                Slot::End => return Some(envelope),
                Slot::Other => cursor.skip().ok()?,
                Slot::Op => envelope.op = Some(op(cursor).ok()?),
                Slot::Note(noted) => envelope.note(*noted, lenient_integer(cursor).ok()?),
                Slot::Before => {
                    if !cursor.null().ok()? {
                        envelope.before = Some(*cursor);
                        cursor.skip().ok()?;
                    }
                }
                Slot::After => {
                    if !cursor.null().ok()? {
                        let read: Result<(), Reject> =
                            row.read(plan, cursor, rows.cells(), progress);
                        read.ok()?;
                        envelope.after = true;
                    }
                }
            }
        }
        None
    }

    /// Learns from an envelope that the plain walk has just accepted.
    #[cold]
    pub(super) fn learn(&mut self, mut cursor: Cursor<'_>) {
        self.parts.clear();
        if self.walk(&mut cursor).is_err() {
            self.parts.clear();
        }
    }

    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        let mut literal = cursor.at();
        let start = *cursor;
        cursor.expect(b'{')?;
        let mut in_source = false;
        loop {
            let name = cursor.key()?.raw;
            cursor.peek();
            if !in_source && name == b"source" && cursor.eat(b'{') && !cursor.eat(b'}') {
                in_source = true;
                continue;
            }
            let at = cursor.at();
            // an empty `source` was consumed whole and is part of the literal
            if !cursor.rest().starts_with(b",") && !cursor.rest().starts_with(b"}") {
                cursor.skip()?;
                if let Some(slot) = self.slot(name, in_source, cursor.since(at)) {
                    self.part(start, literal..at, slot);
                    literal = cursor.at();
                }
            }
            while !cursor.more(b'}')? {
                if !in_source {
                    self.part(start, literal..cursor.at(), Slot::End);
                    return Ok(());
                }
                in_source = false;
            }
        }
    }

    fn part(&mut self, start: Cursor<'_>, literal: std::ops::Range<usize>, slot: Slot) {
        let origin = start.at();
        let bytes = start
            .rest()
            .get(literal.start - origin..literal.end - origin);
        self.parts.push((bytes.unwrap_or_default().to_vec(), slot));
    }

    /// What to do with a value; nothing where it is the same in every message.
    fn slot(&mut self, name: &[u8], in_source: bool, value: &[u8]) -> Option<Slot> {
        match (in_source, name) {
            (false, b"before") => return Some(Slot::Before),
            (false, b"after") => return Some(Slot::After),
            (false, b"op") => return Some(Slot::Op),
            (false, b"ts_ms") => return Some(Slot::Note(Noted::Processed)),
            (true, b"ts_ms") => return Some(Slot::Note(Noted::SourceTime)),
            (true, b"lsn") => return Some(Slot::Note(Noted::Lsn)),
            (true, b"txId") => return Some(Slot::Note(Noted::TxId)),
            _ => {}
        }
        let field = [if in_source { b"source." } else { b"" as &[u8] }, name].concat();
        if self.changing.contains(&field) || value.len() > LONGEST_CONSTANT {
            return Some(Slot::Other);
        }
        match self.last.get(&field) {
            Some(last) if last == value => None,
            None if self.last.len() < MOST_FIELDS => {
                self.last.insert(field, value.to_vec());
                None
            }
            None => Some(Slot::Other),
            Some(_) => {
                self.changing.insert(field);
                Some(Slot::Other)
            }
        }
    }
}
