//! Extended JSON of any of its three spellings, into one: version 2, relaxed.
//!
//! | | version 1 (`legacy`, `strict`) | version 2 canonical (`extended`) | version 2 relaxed |
//! |---|---|---|---|
//! | long | `{"$numberLong":"7"}` | `{"$numberLong":"7"}` | `7` |
//! | double | `7.5`, `NaN` | `{"$numberDouble":"7.5"}` | `7.5`, `{"$numberDouble":"NaN"}` |
//! | date | `{"$date":1739455297970}` | `{"$date":{"$numberLong":"1739455297970"}}` | `{"$date":"2025-02-13T14:01:37.970Z"}` |
//! | binary | `{"$binary":"AQ==","$type":"00"}` | `{"$binary":{"base64":"AQ==","subType":"00"}}` | the same |
//!
//! What looks like such a wrapper and is none is a document that somebody stored, and stays one.

use super::super::document::Names;
use super::super::fate::Reason;
use super::super::json::{Cursor, MOST_LEVELS, Step};
use super::date;

/// Appends the value at the cursor in the one spelling. Every value that comes out is strict JSON.
pub(super) fn relaxed(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
    value(cursor, out, 0)
}

fn value(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, level: u32) -> Step<()> {
    if level > MOST_LEVELS {
        return Err(Reason::TooDeep);
    }
    match cursor.peek() {
        Some(b'{') => match wrapper(cursor, out) {
            true => Ok(()),
            false => members(cursor, out, level),
        },
        Some(b'[') => elements(cursor, out, level),
        Some(b'"') => {
            let text = cursor.string()?;
            text.resolve(&mut Vec::new())?;
            quoted(text.raw, out);
            Ok(())
        }
        _ if not_a_number(cursor, out) => Ok(()),
        Some(b'-' | b'0'..=b'9') => {
            let text = cursor.number()?;
            if !is_number(text) {
                return Err(Reason::BadDocument);
            }
            out.extend_from_slice(text);
            Ok(())
        }
        _ => {
            let start = cursor.at();
            cursor.skip()?;
            out.extend_from_slice(cursor.since(start));
            Ok(())
        }
    }
}

fn members(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, level: u32) -> Step<()> {
    cursor.expect(b'{')?;
    out.push(b'{');
    let mut names = Names::default();
    if !cursor.eat(b'}') {
        loop {
            let key = cursor.key()?;
            names.add(key.resolve(&mut Vec::new())?)?;
            quoted(key.raw, out);
            out.push(b':');
            value(cursor, out, level + 1)?;
            if !cursor.more(b'}')? {
                break;
            }
            out.push(b',');
        }
    }
    out.push(b'}');
    Ok(())
}

fn elements(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, level: u32) -> Step<()> {
    cursor.expect(b'[')?;
    out.push(b'[');
    if !cursor.eat(b']') {
        loop {
            value(cursor, out, level + 1)?;
            if !cursor.more(b']')? {
                break;
            }
            out.push(b',');
        }
    }
    out.push(b']');
    Ok(())
}

pub(super) fn quoted(raw: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(raw);
    out.push(b'"');
}

/// Version 1 writes a double that is no number as a bare word, which is no JSON.
fn not_a_number(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> bool {
    for word in [&b"NaN"[..], b"Infinity", b"-Infinity"] {
        if cursor.rest().starts_with(word) {
            cursor.advance(word.len());
            double_word(word, out);
            return true;
        }
    }
    false
}

fn double_word(word: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"$numberDouble\":\"");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\"}");
}

/// A whole number of 64 bits, or a finite double: BSON has no other numbers.
fn is_number(text: &[u8]) -> bool {
    let Ok(spelled) = std::str::from_utf8(text) else {
        return false;
    };
    match text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        true => spelled.parse::<f64>().is_ok_and(f64::is_finite),
        false => spelled.parse::<i64>().is_ok(),
    }
}

/// Whether a type's wrapper stood here; it is then consumed. Otherwise nothing is.
fn wrapper(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> bool {
    let (start, written) = (*cursor, out.len());
    if matches!(typed(cursor, out), Ok(true)) {
        return true;
    }
    *cursor = start;
    out.truncate(written);
    false
}

fn typed(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<bool> {
    cursor.expect(b'{')?;
    let known = match cursor.key()?.raw {
        b"$oid" => object_id(cursor, out)?,
        b"$numberInt" | b"$numberLong" => {
            let text = cursor.string()?.raw;
            out.extend_from_slice(text);
            !text.contains(&b'.') && is_json_number(text)
        }
        b"$numberDouble" => {
            let text = cursor.string()?.raw;
            match text {
                b"NaN" | b"Infinity" | b"-Infinity" => double_word(text, out),
                text => out.extend_from_slice(text),
            }
            matches!(text, b"NaN" | b"Infinity" | b"-Infinity") || is_json_number(text)
        }
        b"$numberDecimal" => {
            let text = cursor.string()?;
            out.extend_from_slice(b"{\"$numberDecimal\":\"");
            out.extend_from_slice(text.raw);
            out.extend_from_slice(b"\"}");
            !text.escaped
        }
        b"$date" => {
            let millis = millis(cursor)?;
            date::relaxed(millis, out);
            true
        }
        b"$binary" => binary(cursor, out)?,
        _ => false,
    };
    Ok(known && !cursor.more(b'}')?)
}

fn is_json_number(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    let whole = cursor.number().is_ok() && cursor.end().is_ok();
    whole && !text.contains(&b' ') && is_number(text)
}

fn object_id(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<bool> {
    let hex = cursor.string()?.raw;
    out.extend_from_slice(b"{\"$oid\":\"");
    out.extend(hex.iter().map(u8::to_ascii_lowercase));
    out.extend_from_slice(b"\"}");
    Ok(is_object_id(hex))
}

/// Twenty-four hexadecimal digits.
pub(super) fn is_object_id(text: &[u8]) -> bool {
    text.len() == 24 && text.iter().all(u8::is_ascii_hexdigit)
}

/// A number, `{"$numberLong":"…"}` or ISO 8601.
fn millis(cursor: &mut Cursor<'_>) -> Step<i64> {
    match cursor.peek() {
        Some(b'"') => date::parse(cursor.string()?.raw),
        Some(b'{') => {
            cursor.expect(b'{')?;
            if cursor.key()?.raw != b"$numberLong" {
                return Err(Reason::BadDocument);
            }
            let millis = whole(cursor.string()?.raw)?;
            cursor.expect(b'}')?;
            Ok(millis)
        }
        _ => whole(cursor.number()?),
    }
}

fn whole(text: &[u8]) -> Step<i64> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::BadDocument)?;
    text.parse().map_err(|_| Reason::BadDocument)
}

fn binary(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<bool> {
    let (mut base64, mut kind) = (None, None);
    let nested = cursor.eat(b'{');
    if nested {
        loop {
            match cursor.key()?.raw {
                b"base64" => base64 = Some(cursor.string()?),
                b"subType" => kind = Some(cursor.string()?),
                _ => return Ok(false),
            }
            if !cursor.more(b'}')? {
                break;
            }
        }
    } else {
        base64 = Some(cursor.string()?);
        if cursor.more(b'}')? && cursor.key()?.raw == b"$type" {
            kind = Some(cursor.string()?);
        }
    }
    let (Some(base64), Some(kind)) = (base64, kind) else {
        return Ok(false);
    };
    if kind.raw.is_empty() || kind.raw.len() > 2 || !kind.raw.iter().all(u8::is_ascii_hexdigit) {
        return Ok(false);
    }
    out.extend_from_slice(b"{\"$binary\":{\"base64\":\"");
    out.extend_from_slice(base64.raw);
    out.extend_from_slice(b"\",\"subType\":\"");
    if kind.raw.len() == 1 {
        out.push(b'0');
    }
    out.extend(kind.raw.iter().map(u8::to_ascii_lowercase));
    out.extend_from_slice(b"\"}}");
    Ok(true)
}
