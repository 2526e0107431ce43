//! One JSON value into one cell: what may stand for a value of each column type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fate::Reason;
use super::json::{Cursor, Step};
use crate::column::{self, Clock, Data, Decimal, Fault, Type};

/// Days of 1900-01-01 and 2299-12-31: what Date32 and DateTime64 hold.
const FIRST_DAY: i64 = -25_567;
const LAST_DAY: i64 = 120_529;
const DAY_SECONDS: i64 = 86_400;
/// Time64 ends at 999:59:59.
const LONGEST_TIME: i64 = 999 * 3600 + 59 * 60 + 59;

/// How a value is written in the message: what the embedded schema says, else what the job declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Days,
    /// a whole number of `10^-digits` seconds
    Ticks(u8),
    Base64,
    /// base64 of an unscaled number; the scale is the column's own where none is given
    Unscaled(Option<i64>),
    Json,
    Array(Box<Wire>),
}

/// How one column is read.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    Nullable(Box<Reader>),
    Array(Box<Reader>),
    Bool,
    Int {
        width: u8,
        signed: bool,
    },
    /// base64 of little-endian bits, into an unsigned number of so many bytes or a Bool (0)
    Bits {
        width: u8,
    },
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
        from: Unscaled,
    },
    Text,
    Bytes,
    Json,
    /// a decimal kept as text, because the source does not bound its digits
    DecimalText(Unscaled),
    Uuid,
    Date(Unit),
    Date32(Unit),
    DateTime(Unit),
    DateTime64(u8, Unit),
    Time64(u8, Unit),
}

/// Whether a JSON string is base64 of an unscaled number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unscaled {
    No,
    /// with this scale; without one the value must bring its own
    Yes(Option<i64>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Iso,
    Days,
    Ticks(u8),
}

/// Buffers that every value borrows, so that none allocates.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) text: Vec<u8>,
    bytes: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(kind: &Type, wire: &Wire) -> Reader {
        let unit = match wire {
            Wire::Days => Unit::Days,
            Wire::Ticks(digits) => Unit::Ticks(*digits),
            _ => Unit::Iso,
        };
        let bits = *wire == Wire::Base64;
        let int = |width, signed| match bits {
            true => Reader::Bits { width },
            false => Reader::Int { width, signed },
        };
        match kind {
            Type::Nullable(inner) => Reader::Nullable(Box::new(Reader::new(inner, wire))),
            Type::LowCardinality(inner) => Reader::new(inner, wire),
            Type::Array(inner) => {
                let element = match wire {
                    Wire::Array(element) => element,
                    declared => declared,
                };
                Reader::Array(Box::new(Reader::new(inner, element)))
            }
            Type::Bool if bits => Reader::Bits { width: 0 },
            Type::Bool => Reader::Bool,
            Type::Int8 => Reader::Int {
                width: 1,
                signed: true,
            },
            Type::Int16 => Reader::Int {
                width: 2,
                signed: true,
            },
            Type::Int32 => Reader::Int {
                width: 4,
                signed: true,
            },
            Type::Int64 => Reader::Int {
                width: 8,
                signed: true,
            },
            Type::UInt8 => int(1, false),
            Type::UInt16 => int(2, false),
            Type::UInt32 => int(4, false),
            Type::UInt64 => int(8, false),
            Type::Float32 => Reader::Float32,
            Type::Float64 => Reader::Float64,
            Type::Decimal { precision, scale } => Reader::Decimal {
                precision: *precision,
                scale: *scale,
                from: match wire {
                    Wire::Unscaled(known) => Unscaled::Yes(known.or(Some(i64::from(*scale)))),
                    _ => Unscaled::No,
                },
            },
            Type::String => match wire {
                Wire::Base64 => Reader::Bytes,
                Wire::Json | Wire::Array(_) => Reader::Json,
                Wire::Unscaled(scale) => Reader::DecimalText(Unscaled::Yes(*scale)),
                _ => Reader::Text,
            },
            Type::Uuid => Reader::Uuid,
            Type::Date => Reader::Date(unit),
            Type::Date32 => Reader::Date32(unit),
            Type::DateTime { .. } => Reader::DateTime(unit),
            Type::DateTime64 { precision, .. } => Reader::DateTime64(*precision, unit),
            Type::Time64 { precision } => Reader::Time64(*precision, unit),
        }
    }

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
                Reader::Nullable(_) => {
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
            Reader::Array(reader) => array(reader, cursor, data, scratch)?,
            Reader::Bool => data.put([u8::from(cursor.bool()?)]),
            Reader::Int { width, signed } => {
                put_low(data, *width, integer(cursor, *width, *signed)?);
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
                let value = decimal(cursor, *from, scratch)?.at(*precision, *scale)?;
                put_decimal(data, *precision, value);
            }
            Reader::Text => data.put_text(cursor.string()?.resolve(&mut scratch.text)?),
            Reader::Bytes => data.put_text(base64(cursor, scratch)?),
            Reader::Json => match cursor.peek() {
                Some(b'"') => data.put_text(cursor.string()?.resolve(&mut scratch.text)?),
                _ => {
                    let start = cursor.at();
                    cursor.skip()?;
                    data.put_text(cursor.since(start));
                }
            },
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
                let second = 10_i64.pow(u32::from(*digits));
                let seconds = value.div_euclid(second);
                if !(FIRST_DAY * DAY_SECONDS..(LAST_DAY + 1) * DAY_SECONDS).contains(&seconds) {
                    return Err(Reason::OutOfRange);
                }
                data.put(value.to_le_bytes());
            }
            Reader::Time64(digits, unit) => {
                let value = ticks(*unit, *digits, column::clock, cursor, scratch)?;
                let second = 10_i64.pow(u32::from(*digits));
                if value.unsigned_abs() / second.unsigned_abs() > LONGEST_TIME.unsigned_abs() {
                    return Err(Reason::OutOfRange);
                }
                data.put(value.to_le_bytes());
            }
        }
        Ok(())
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

/// The value's two's complement in 64 bits, checked against the column's range.
#[inline]
fn integer(cursor: &mut Cursor<'_>, width: u8, signed: bool) -> Step<u64> {
    let text = cursor.number()?;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut magnitude = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Reason::BadValue); // a fraction or an exponent
        }
        magnitude = magnitude
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or(Reason::OutOfRange)?;
    }
    let top = u64::MAX >> (64 - 8 * u32::from(width));
    let most = match (signed, negative) {
        (true, true) => top / 2 + 1,
        (true, false) => top / 2,
        (false, true) => 0,
        (false, false) => top,
    };
    if magnitude > most {
        return Err(Reason::OutOfRange);
    }
    Ok(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
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

/// Debezium cuts trailing zero bytes; a value beyond the column is out of range. Width 0 is a Bool.
fn bits(bytes: &[u8], width: u8) -> Step<u64> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        if place >= usize::from(width.max(1)) {
            return Err(Reason::OutOfRange);
        }
        value |= u64::from(*byte) << (8 * place);
    }
    if width == 0 && value > 1 {
        return Err(Reason::OutOfRange);
    }
    Ok(value)
}

/// Any JSON number, or the names that Debezium writes as strings because JSON has none.
fn float<F: std::str::FromStr + Into<f64> + Copy>(cursor: &mut Cursor<'_>) -> Step<F> {
    let named = cursor.peek() == Some(b'"');
    let text = if named {
        cursor.string()?.raw
    } else {
        cursor.number()?
    };
    let text = match (named, text) {
        (true, b"NaN") | (false, _) => text,
        (true, b"Infinity" | b"+Infinity") => b"inf",
        (true, b"-Infinity") => b"-inf",
        _ => return Err(Reason::BadValue),
    };
    let value: F = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Reason::BadValue)?;
    match named || value.into().is_finite() {
        true => Ok(value),
        false => Err(Reason::OutOfRange),
    }
}

fn base64<'b>(cursor: &mut Cursor<'_>, scratch: &'b mut Scratch) -> Step<&'b [u8]> {
    let text = cursor.string()?.resolve(&mut scratch.text)?;
    scratch.bytes.clear();
    STANDARD
        .decode_vec(text, &mut scratch.bytes)
        .map_err(|_| Reason::BadValue)?;
    Ok(&scratch.bytes)
}

fn decimal(cursor: &mut Cursor<'_>, from: Unscaled, scratch: &mut Scratch) -> Step<Decimal> {
    match (cursor.peek(), from) {
        (Some(b'{'), _) => variable_scale(cursor, scratch),
        (Some(b'"'), Unscaled::Yes(Some(scale))) => {
            let bytes = base64(cursor, scratch).map_err(|_| Reason::BadDecimal)?;
            Decimal::from_bytes(bytes, scale).map_err(as_decimal)
        }
        (Some(b'"'), Unscaled::Yes(None)) => Err(Reason::BadDecimal),
        (Some(b'"'), Unscaled::No) => {
            let text = cursor.string()?.resolve(&mut scratch.text)?;
            if is_special(text) {
                return Err(Reason::OutOfRange);
            }
            Decimal::parse(text).map_err(as_decimal)
        }
        _ => Decimal::parse(cursor.number()?).map_err(as_decimal),
    }
}

/// `{"scale":3,"value":"SOx4FQ=="}` in any order.
fn variable_scale(cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Step<Decimal> {
    cursor.expect(b'{')?;
    if cursor.eat(b'}') {
        return Err(Reason::BadDecimal);
    }
    let (mut scale, mut seen) = (None, false);
    let mut unscaled = std::mem::take(&mut scratch.bytes);
    loop {
        match cursor.key()?.raw {
            b"scale" if scale.is_none() => {
                let value = integer(cursor, 4, true).map_err(|_| Reason::BadDecimal)?;
                scale = Some(value as i64);
            }
            b"value" if !seen => {
                let text = cursor.string().map_err(|_| Reason::BadDecimal)?;
                let text = text.resolve(&mut scratch.text)?;
                unscaled.clear();
                STANDARD
                    .decode_vec(text, &mut unscaled)
                    .map_err(|_| Reason::BadDecimal)?;
                seen = true;
            }
            _ => return Err(Reason::BadDecimal),
        }
        if !cursor.more(b'}')? {
            break;
        }
    }
    let value = match (scale, seen) {
        (Some(scale), true) => Decimal::from_bytes(&unscaled, scale).map_err(as_decimal),
        _ => Err(Reason::BadDecimal),
    };
    scratch.bytes = unscaled;
    value
}

/// The numbers that are none, as Debezium and PostgreSQL spell them.
fn is_special(text: &[u8]) -> bool {
    const SPECIAL: [&[u8]; 6] = [
        b"NAN",
        b"POSITIVE_INFINITY",
        b"NEGATIVE_INFINITY",
        b"INFINITY",
        b"-INFINITY",
        b"+INFINITY",
    ];
    SPECIAL.iter().any(|name| name.eq_ignore_ascii_case(text))
}

fn as_decimal(fault: Fault) -> Reason {
    match fault {
        Fault::Malformed => Reason::BadDecimal,
        other => other.into(),
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Reason {
        match fault {
            Fault::Malformed => Reason::BadValue,
            Fault::OutOfRange => Reason::OutOfRange,
            Fault::PrecisionLoss => Reason::PrecisionLoss,
        }
    }
}

/// ClickHouse keeps a UUID as two little-endian halves, the first one first.
fn uuid(text: &[u8]) -> Step<[u8; 16]> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(Reason::BadValue);
    }
    let uuid = uuid::Uuid::try_parse_ascii(text).map_err(|_| Reason::BadValue)?;
    let (high, low) = uuid.as_u64_pair();
    let mut bytes = [0; 16];
    let halves = bytes.as_chunks_mut::<8>().0.iter_mut();
    for (to, half) in halves.zip([high, low]) {
        *to = half.to_le_bytes();
    }
    Ok(bytes)
}

/// Days since 1970-01-01.
fn days(unit: Unit, cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Step<i64> {
    match unit {
        Unit::Iso => Ok(column::date(iso(cursor, scratch)?)?),
        Unit::Days => whole(cursor),
        Unit::Ticks(digits) => {
            let seconds = column::rescale(whole(cursor)?, digits, 0)?;
            match seconds % DAY_SECONDS {
                0 => Ok(seconds / DAY_SECONDS),
                _ => Err(Reason::PrecisionLoss),
            }
        }
    }
}

/// Units of `10^-digits` seconds.
#[inline]
fn ticks(
    unit: Unit,
    digits: u8,
    parse: fn(&[u8]) -> Result<Clock, Fault>,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
) -> Step<i64> {
    match unit {
        Unit::Iso => Ok(parse(iso(cursor, scratch)?)?.ticks(digits)?),
        Unit::Days => {
            let seconds = whole(cursor)?.checked_mul(DAY_SECONDS);
            Ok(column::rescale(
                seconds.ok_or(Reason::OutOfRange)?,
                0,
                digits,
            )?)
        }
        Unit::Ticks(from) => Ok(column::rescale(whole(cursor)?, from, digits)?),
    }
}

#[inline]
fn whole(cursor: &mut Cursor<'_>) -> Step<i64> {
    Ok(integer(cursor, 8, true)? as i64)
}

/// Text is expected; a number has a unit that nobody told.
fn iso<'a: 'b, 'b>(cursor: &mut Cursor<'a>, scratch: &'b mut Scratch) -> Step<&'b [u8]> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => Err(Reason::UnitUnknown),
        _ => cursor.string()?.resolve(&mut scratch.text),
    }
}
