//! Single JSON values as numbers, bytes, dates and times.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::fate::Reason;
use super::json::{Cursor, Step};
use super::reader::{Alphabet, Unit};
use super::structured;
use super::value::Scratch;
use crate::column::{self, Clock, Fault};

const DAY_SECONDS: i64 = 86_400;

/// The value's two's complement in 64 bits, checked against the column's range.
#[inline]
pub(super) fn integer(cursor: &mut Cursor<'_>, width: u8, signed: bool) -> Step<u64> {
    let (negative, magnitude) = match cursor.short_integer() {
        Some(short) => short,
        None => {
            let text = cursor.number()?;
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            if !digits.iter().all(u8::is_ascii_digit) {
                return Err(Reason::BadValue); // a fraction or an exponent
            }
            let magnitude = magnitude(digits).ok_or(Reason::OutOfRange)?;
            (digits.len() < text.len(), magnitude)
        }
    };
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

/// The number that these digits spell, where 64 bits hold it.
#[inline]
fn magnitude(digits: &[u8]) -> Option<u64> {
    /// nineteen digits always fit
    const SAFE: usize = 19;
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    };
    match digits.split_at_checked(SAFE) {
        None => Some(number(digits)),
        Some((safe, more)) => more.iter().try_fold(number(safe), |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        }),
    }
}

/// A whole number of 64 bits in JSON's notation.
pub(super) fn whole_number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = i128::from(magnitude(digits)?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Debezium cuts trailing zero bytes; a value beyond the column is out of range. Width 0 is a Bool.
pub(super) fn bits(bytes: &[u8], width: u8) -> Step<u64> {
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
pub(super) fn float<F: std::str::FromStr + Into<f64> + Copy>(cursor: &mut Cursor<'_>) -> Step<F> {
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

pub(super) fn base64<'b>(cursor: &mut Cursor<'_>, scratch: &'b mut Scratch) -> Step<&'b [u8]> {
    let text = cursor.string()?.resolve(&mut scratch.text)?;
    scratch.bytes.clear();
    STANDARD
        .decode_vec(text, &mut scratch.bytes)
        .map_err(|_| Reason::BadValue)?;
    Ok(&scratch.bytes)
}

#[inline]
pub(super) fn bytes<'b>(
    alphabet: Alphabet,
    cursor: &mut Cursor<'_>,
    scratch: &'b mut Scratch,
) -> Step<&'b [u8]> {
    if let Alphabet::Base64 = alphabet {
        return base64(cursor, scratch);
    }
    let text = cursor.string()?.resolve(&mut scratch.text)?;
    scratch.bytes.clear();
    let read = match alphabet {
        Alphabet::Hex => hex(text, &mut scratch.bytes),
        _ => URL_SAFE.decode_vec(text, &mut scratch.bytes).ok(),
    };
    read.ok_or(Reason::BadValue)?;
    Ok(&scratch.bytes)
}

/// Appends the bytes; nothing where the text is no pairs of hexadecimal digits.
fn hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_chunks::<2>();
    for [high, low] in pairs {
        out.push((digit(*high)? << 4 | digit(*low)?) as u8);
    }
    rest.is_empty().then_some(())
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
pub(super) fn uuid(text: &[u8]) -> Step<[u8; 16]> {
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
pub(super) fn days(unit: Unit, cursor: &mut Cursor<'_>, scratch: &mut Scratch) -> Step<i64> {
    if cursor.peek() == Some(b'{') {
        return structured::days(cursor);
    }
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
pub(super) fn ticks(
    unit: Unit,
    digits: u8,
    parse: fn(&[u8]) -> Result<Clock, Fault>,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
) -> Step<i64> {
    if cursor.peek() == Some(b'{') {
        return Ok(structured::clock(cursor)?.ticks(digits)?);
    }
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
