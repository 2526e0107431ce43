//! One walk over an envelope: its own fields are noted, the row is read where it stands.

use super::fate::{Fate, Reason, Reject, Skip};
use super::json::{Cursor, Step};
use super::open::Shape;
use super::plan::Plan;
use super::progress::Progress;
use super::scalar::whole_number;
use crate::column::Rows;

/// The envelope's own fields, and where its images stand.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) op: Option<&'a [u8]>,
    pub(super) before: Option<Cursor<'a>>,
    pub(super) after: bool,
    pub(super) source: Source,
    pub(super) ts_ms: Option<i64>,
    /// names that tell the kinds of message without `op` apart
    pub(super) status: bool,
    pub(super) ddl: bool,
    pub(super) others: bool,
    pub(super) seen: u8,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    pub(super) lsn: Option<i64>,
    pub(super) tx_id: Option<i64>,
    pub(super) ts_ms: Option<i64>,
}

pub(super) fn envelope<'a>(
    cursor: &mut Cursor<'a>,
    plan: &Plan,
    shape: &mut Shape,
    rows: &mut Rows,
    progress: &mut Progress,
) -> Result<Envelope<'a>, Reject> {
    let mut envelope = Envelope::default();
    if !cursor.eat(b'{') {
        // a whole JSON value of another kind is another format; anything else is no JSON
        cursor.skip()?;
        return Err(Reason::WrongEncoding.into());
    }
    if cursor.eat(b'}') {
        return Ok(envelope);
    }
    loop {
        let key = cursor.key()?.raw;
        match key {
            b"before" => {
                envelope.once(1)?;
                if !cursor.null()? {
                    envelope.before = Some(*cursor);
                    cursor.skip()?;
                }
            }
            b"after" => {
                envelope.once(2)?;
                if !cursor.null()? {
                    shape.row.read(plan, cursor, rows.cells(), progress)?;
                    envelope.after = true;
                }
            }
            b"source" => {
                envelope.once(4)?;
                envelope.source = source(cursor)?;
            }
            b"op" => {
                envelope.once(8)?;
                envelope.op = Some(op(cursor)?);
            }
            b"ts_ms" => envelope.ts_ms = lenient_integer(cursor)?,
            other => {
                match other {
                    b"status" => envelope.status = true,
                    b"ddl" | b"tableChanges" => envelope.ddl = true,
                    b"ts_us" | b"ts_ns" => {}
                    _ => envelope.others = true,
                }
                cursor.skip()?;
            }
        }
        if !cursor.more(b'}')? {
            return Ok(envelope);
        }
    }
}

/// The value of `op`; whether it is a known one is decided later.
pub(super) fn op<'a>(cursor: &mut Cursor<'a>) -> Step<&'a [u8]> {
    match cursor.string() {
        Ok(op) => Ok(op.raw),
        Err(Reason::BadValue) => Err(Reason::UnknownOp),
        Err(other) => Err(other),
    }
}

/// Numbers of the envelope that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    Lsn,
    TxId,
    SourceTime,
    /// when the connector wrote the message
    Processed,
}

impl Envelope<'_> {
    #[inline]
    pub(super) fn note(&mut self, noted: Noted, value: Option<i64>) {
        match noted {
            Noted::Lsn => self.source.lsn = value,
            Noted::TxId => self.source.tx_id = value,
            Noted::SourceTime => self.source.ts_ms = value.filter(|time| is_instant(*time)),
            Noted::Processed => self.ts_ms = value,
        }
    }

    fn once(&mut self, field: u8) -> Step<()> {
        let first = self.seen & field == 0;
        self.seen |= field;
        if first {
            Ok(())
        } else {
            Err(Reason::DuplicateField)
        }
    }
}

/// The diagnostic columns; what is odd in them is NULL, since nothing rests on them.
fn source(cursor: &mut Cursor<'_>) -> Step<Source> {
    let mut source = Source::default();
    if !cursor.eat(b'{') {
        cursor.skip()?;
        return Ok(source);
    }
    if cursor.eat(b'}') {
        return Ok(source);
    }
    loop {
        match cursor.key()?.raw {
            b"lsn" => source.lsn = lenient_integer(cursor)?,
            b"txId" => source.tx_id = lenient_integer(cursor)?,
            b"ts_ms" => source.ts_ms = lenient_integer(cursor)?.filter(|time| is_instant(*time)),
            _ => cursor.skip()?,
        }
        if !cursor.more(b'}')? {
            return Ok(source);
        }
    }
}

/// DateTime64 ends with the year 2299 and begins with 1900.
pub(super) fn is_instant(millis: i64) -> bool {
    const FIRST: i64 = -2_208_988_800_000;
    const END: i64 = 10_413_792_000_000;
    (FIRST..END).contains(&millis)
}

/// Any value; nothing where it is no whole number of 64 bits.
pub(super) fn lenient_integer(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
    if let Some((negative, magnitude)) = cursor.short_integer() {
        let value = magnitude as i64; // eighteen digits
        return Ok(Some(if negative { -value } else { value }));
    }
    cursor.peek();
    let start = cursor.at();
    cursor.skip()?;
    Ok(whole_number(cursor.since(start)))
}

/// Messages without `op` that Debezium writes beside changes.
pub(super) fn by_shape(envelope: &Envelope<'_>) -> Result<Fate, Reject> {
    let skip = match envelope {
        Envelope { after: true, .. }
        | Envelope {
            before: Some(_), ..
        } => return Err(Reason::UnknownOp.into()),
        Envelope { ddl: true, .. } => Skip::SchemaChange,
        Envelope { status: true, .. } => Skip::Transaction,
        Envelope {
            others: false,
            seen: 0,
            ts_ms: Some(_),
            ..
        } => Skip::Heartbeat,
        _ => return Err(Reason::UnknownOp.into()),
    };
    Ok(Fate::Skip(skip))
}
