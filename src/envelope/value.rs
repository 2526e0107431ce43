//! One JSON value into one cell: what may stand for a value of each column type.

use super::document;
use super::fate::Reason;
use super::json::{Cursor, Step};
use super::masked::masked;
use super::number::{decimal, quick_decimal};
use super::reader::Reader;
use super::scalar::{base64, bits, bytes, days, float, integer, ticks, uuid};
use crate::column::{self, Data};
use crate::job::{Mask, NullPolicy};

/// Days of 1900-01-01 and 2299-12-31: what Date32 and DateTime64 hold.
const FIRST_DAY: i64 = -25_567;
const LAST_DAY: i64 = 120_529;
const DAY_SECONDS: i64 = 86_400;
/// Time64 ends at 999:59:59.
const LONGEST_TIME: i64 = 999 * 3600 + 59 * 60 + 59;

/// Buffers that every value borrows, so that none allocates.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) text: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Reader {
    /// Appends one cell. After an error the cursor and the column are anywhere inside the value.
    #[inline]
    pub(crate) fn read(
        &self,
        cursor: &mut Cursor<'_>,
        data: &mut Data,
        scratch: &mut Scratch,
    ) -> Step<()> {
        if cursor.peek() == Some(b'n') {
            cursor.word(b"null")?;
            return match self {
                Reader::Nullable(_)
                | Reader::Masked(Mask::Null)
                | Reader::Array {
                    null: NullPolicy::Empty,
                    ..
                } => {
                    data.put_default();
                    Ok(())
                }
                _ => Err(Reason::NullValue),
            };
        }
        match (self, data) {
            (Reader::Nullable(reader), Data::Nullable { nulls, inner }) => {
                reader.read_some(cursor, inner, scratch)?;
                nulls.push(0);
                Ok(())
            }
            (reader, data) => reader.read_some(cursor, data, scratch),
        }
    }

    #[inline]
    fn read_some(
        &self,
        cursor: &mut Cursor<'_>,
        data: &mut Data,
        scratch: &mut Scratch,
    ) -> Step<()> {
        match self {
            Reader::Nullable(reader) => reader.read(cursor, data, scratch)?,
            Reader::Array { element, .. } => array(element, cursor, data, scratch)?,
            Reader::Cast(reader) => cast(reader, cursor, data, scratch)?,
            Reader::Masked(mask) => masked(mask, cursor, data, scratch)?,
            Reader::Bool => data.put([u8::from(cursor.bool()?)]),
            Reader::Int { width, signed } => {
                put_low(data, *width, integer(cursor, *width, *signed)?);
            }
            Reader::UnscaledInt {
                width,
                signed,
                from,
            } => {
                let number = decimal(cursor, *from, scratch)?;
                put_low(data, *width, number.whole(*width, *signed)?);
            }
            Reader::Bits { width } => {
                let value = bits(base64(cursor, scratch)?, *width)?;
                put_low(data, (*width).max(1), value);
            }
            Reader::Float32 => data.put(float::<f32>(cursor)?.to_le_bytes()),
            Reader::Float64 => data.put(float::<f64>(cursor)?.to_le_bytes()),
            Reader::Decimal {
                precision,
                scale,
                from,
            } => {
                if let Some(value) = quick_decimal(cursor, *from, (*precision, *scale)) {
                    put_low(data, if *precision > 9 { 8 } else { 4 }, value as u64);
                } else {
                    let value = decimal(cursor, *from, scratch)?.at(*precision, *scale)?;
                    put_decimal(data, *precision, value);
                }
            }
            Reader::Text => data.put_text(cursor.string()?.resolve(&mut scratch.text)?),
            Reader::Bytes(alphabet) => data.put_text(bytes(*alphabet, cursor, scratch)?),
            Reader::Json => match cursor.peek() {
                Some(b'"') => data.put_text(cursor.string()?.resolve(&mut scratch.text)?),
                _ => {
                    let start = cursor.at();
                    cursor.skip()?;
                    data.put_text(cursor.since(start));
                }
            },
            Reader::Document => {
                scratch.bytes.clear();
                match cursor.peek() {
                    // as its text, as Debezium writes JSON columns
                    Some(b'"') => {
                        let text = cursor.string()?.resolve(&mut scratch.text)?;
                        document::whole(text, &mut scratch.bytes)?;
                    }
                    _ => document::object(cursor, &mut scratch.bytes)?,
                }
                data.put_text(&scratch.bytes);
            }
            Reader::DecimalText(from) => {
                data.put_text(decimal(cursor, *from, scratch)?.show().as_bytes());
            }
            Reader::Uuid => data.put(uuid(cursor.string()?.resolve(&mut scratch.text)?)?),
            Reader::Date(unit) => {
                let days = days(*unit, cursor, scratch)?;
                data.put(
                    u16::try_from(days)
                        .map_err(|_| Reason::OutOfRange)?
                        .to_le_bytes(),
                );
            }
            Reader::Date32(unit) => {
                let days = days(*unit, cursor, scratch)?;
                if !(FIRST_DAY..=LAST_DAY).contains(&days) {
                    return Err(Reason::OutOfRange);
                }
                data.put((days as i32).to_le_bytes());
            }
            Reader::DateTime(unit) => {
                let seconds = ticks(*unit, 0, column::instant, cursor, scratch)?;
                data.put(
                    u32::try_from(seconds)
                        .map_err(|_| Reason::OutOfRange)?
                        .to_le_bytes(),
                );
            }
            Reader::DateTime64(digits, unit) => {
                let value = ticks(*unit, *digits, column::instant, cursor, scratch)?;
                let second = column::power(*digits);
                let first = FIRST_DAY * DAY_SECONDS * second;
                let end = ((LAST_DAY + 1) * DAY_SECONDS).saturating_mul(second); // nanoseconds end in 2262
                if !(first..=end).contains(&value) || value == end {
                    return Err(Reason::OutOfRange);
                }
                data.put(value.to_le_bytes());
            }
            Reader::Time64(digits, unit) => {
                let value = ticks(*unit, *digits, column::clock, cursor, scratch)?;
                let second = column::power(*digits);
                if value.unsigned_abs() / second.unsigned_abs() > LONGEST_TIME.unsigned_abs() {
                    return Err(Reason::OutOfRange);
                }
                data.put(value.to_le_bytes());
            }
        }
        Ok(())
    }
}

/// A text that spells a number or a truth is read as that, and a number or a truth as its text.
fn cast(
    reader: &Reader,
    cursor: &mut Cursor<'_>,
    data: &mut Data,
    scratch: &mut Scratch,
) -> Step<()> {
    match (reader, cursor.peek()) {
        (Reader::Text, Some(b'0'..=b'9' | b'-' | b't' | b'f')) => {
            let start = cursor.at();
            cursor.skip()?;
            data.put_text(cursor.since(start));
            Ok(())
        }
        (Reader::Int { .. } | Reader::Float32 | Reader::Float64 | Reader::Bool, Some(b'"')) => {
            let mut text = Vec::new();
            let text = cursor.string()?.resolve(&mut text)?;
            // what JSON has around a value is no part of it
            if text.first().is_none_or(u8::is_ascii_whitespace)
                || text.last().is_none_or(u8::is_ascii_whitespace)
            {
                return Err(Reason::BadValue);
            }
            let mut inner = Cursor::new(text);
            let as_value = |reason| match reason {
                Reason::BadJson => Reason::BadValue,
                other => other,
            };
            reader
                .read_some(&mut inner, data, scratch)
                .map_err(as_value)?;
            inner.end().map_err(as_value)
        }
        _ => reader.read_some(cursor, data, scratch),
    }
}

fn array(
    reader: &Reader,
    cursor: &mut Cursor<'_>,
    data: &mut Data,
    scratch: &mut Scratch,
) -> Step<()> {
    let Data::Array { ends, inner } = data else {
        return Err(Reason::BadValue);
    };
    if !cursor.eat(b'[') {
        return Err(Reason::BadValue);
    }
    if !cursor.eat(b']') {
        loop {
            reader.read(cursor, inner, scratch)?;
            if !cursor.more(b']')? {
                break;
            }
        }
    }
    ends.push(inner.len() as u64);
    Ok(())
}

#[inline]
fn put_low(data: &mut Data, width: u8, value: u64) {
    match width {
        1 => data.put((value as u8).to_le_bytes()),
        2 => data.put((value as u16).to_le_bytes()),
        4 => data.put((value as u32).to_le_bytes()),
        _ => data.put(value.to_le_bytes()),
    }
}

fn put_decimal(data: &mut Data, precision: u8, value: [u8; 32]) {
    let [a, b, c, d, ..] = value;
    match precision {
        0..=9 => data.put([a, b, c, d]),
        10..=18 => data.put(value.first_chunk::<8>().copied().unwrap_or_default()),
        19..=38 => data.put(value.first_chunk::<16>().copied().unwrap_or_default()),
        _ => data.put(value),
    }
}
