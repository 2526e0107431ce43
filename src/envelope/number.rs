//! Decimals in the message: as text, as a number, as unscaled bytes, with a scale of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fate::Reason;
use super::json::{Cursor, Step};
use super::reader::Unscaled;
use super::scalar::{base64, integer};
use super::value::Scratch;
use crate::column::{Decimal, Fault};

/// The common case: few digits as text or as a number, at most the column's scale. Otherwise nothing is consumed.
#[inline]
pub(super) fn quick_decimal(
    cursor: &mut Cursor<'_>,
    from: Unscaled,
    (precision, scale): (u8, u8),
) -> Option<i64> {
    let start = *cursor;
    let text = match (cursor.peek(), from) {
        (Some(b'"'), Unscaled::No) => cursor.string().ok().map(|text| text.raw),
        (Some(b'-' | b'0'..=b'9'), _) => cursor.number().ok(),
        _ => None,
    };
    let value = text.and_then(|text| Decimal::quick(text, precision, scale));
    if value.is_none() {
        *cursor = start;
    }
    value
}

pub(super) fn decimal(
    cursor: &mut Cursor<'_>,
    from: Unscaled,
    scratch: &mut Scratch,
) -> Step<Decimal> {
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
