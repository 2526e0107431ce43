//! A value of a document, as the decoder reads values of the column's type.

use super::super::fate::Reason;
use super::super::json::{Cursor, Step};
use super::{date, extended};
use crate::column::Type;
use crate::job::{Column, Encoding};

#[derive(Clone, Debug)]
pub(super) struct Spell {
    kind: Kind,
    from: Encoding,
    /// of the job's key: two ids never become one
    key: bool,
}

/// What of a column's type decides how a value is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Date,
    Uuid,
    Document,
    Other,
}

impl Spell {
    pub(super) fn of(column: &Column, key: bool) -> Spell {
        Spell {
            kind: kind(&column.kind),
            from: column.encoding,
            key,
        }
    }

    /// Appends the value at the cursor, which is in relaxed spelling.
    pub(super) fn write(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        match self.from {
            Encoding::Json if self.kind == Kind::Text => self.as_text(cursor, out),
            Encoding::ObjectId => match type_of(*cursor) {
                Some((b"$oid", value)) => copy(value, out),
                _ if cursor.rest().starts_with(b"null") => copy(*cursor, out),
                _ => Err(Reason::BadValue),
            },
            Encoding::Text => match cursor.peek() {
                Some(b'"' | b'n') => copy(*cursor, out),
                _ => Err(Reason::BadValue),
            },
            _ => self.plain(cursor, out),
        }
    }

    /// Any value, as a text that is itself Extended JSON; `null` stays no value.
    fn as_text(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        if cursor.null()? {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let mut text = Vec::new();
        match self.key {
            true => canonical(cursor, &mut text)?,
            false => copy(*cursor, &mut text)?,
        }
        quote(&text, out);
        Ok(())
    }

    fn plain(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        match cursor.peek() {
            Some(b'[') if self.kind != Kind::Document => self.elements(cursor, out),
            Some(b'{') if self.kind != Kind::Document => self.typed(cursor, out),
            Some(b'-' | b'0'..=b'9') => number(cursor.number()?, out),
            Some(b'"') if self.key && self.kind == Kind::Text => {
                let text = cursor.string()?;
                if extended::is_object_id(text.raw) {
                    return Err(Reason::AmbiguousId);
                }
                extended::quoted(text.raw, out);
                Ok(())
            }
            _ => copy_on(cursor, out),
        }
    }

    fn elements(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        cursor.expect(b'[')?;
        out.push(b'[');
        if !cursor.eat(b']') {
            loop {
                self.plain(cursor, out)?;
                if !cursor.more(b']')? {
                    break;
                }
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    /// A wrapper of a type, or a document.
    fn typed(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        let start = out.len();
        let mut value = *cursor;
        let known = match type_of(*cursor) {
            Some((b"$oid", hex)) if self.kind == Kind::Text => copy(hex, out).is_ok(),
            Some((b"$numberDecimal" | b"$numberDouble" | b"$uuid" | b"$symbol", text)) => {
                copy(text, out).is_ok()
            }
            Some((b"$undefined", _)) => {
                out.extend_from_slice(b"null");
                true
            }
            Some((b"$date", value)) => self.date(value, out),
            Some((b"$binary", value)) => self.binary(value, out).is_ok(),
            _ => false,
        };
        if known {
            return cursor.skip();
        }
        out.truncate(start);
        value.skip()?;
        copy_on(cursor, out)
    }

    fn date(&self, value: Cursor<'_>, out: &mut Vec<u8>) -> bool {
        let Ok(millis) = date_of(value) else {
            return false;
        };
        let text = match (self.from, self.kind) {
            (Encoding::Millis, _) => Some(millis.to_string()),
            (_, Kind::Date) => date::day(millis).or_else(|| date::instant(millis)),
            // beyond what ISO 8601 spells here, but no column of times reaches so far
            (_, Kind::Other) => date::instant(millis).or_else(|| Some("infinity".to_owned())),
            _ => date::instant(millis),
        };
        let Some(text) = text else {
            return false;
        };
        match self.from {
            Encoding::Millis => out.extend_from_slice(text.as_bytes()),
            _ => extended::quoted(text.as_bytes(), out),
        }
        true
    }

    /// As base64, or as a UUID where the column is one and the value is one.
    fn binary(&self, mut value: Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
        /// the subtype of UUIDs in the order of their text; the older one, 03, depends on who wrote it
        const UUID: &[u8] = b"04";
        value.expect(b'{')?;
        value.key()?;
        let base64 = value.string()?;
        value.expect(b',')?;
        value.key()?;
        let kind = value.string()?.raw;
        if self.kind == Kind::Uuid && kind == UUID {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.decode(base64.raw);
            let bytes = bytes.map_err(|_| Reason::BadValue)?;
            let uuid = uuid::Uuid::from_slice(&bytes).map_err(|_| Reason::BadValue)?;
            extended::quoted(uuid.to_string().as_bytes(), out);
        } else {
            extended::quoted(base64.raw, out);
        }
        Ok(())
    }
}

fn kind(of: &Type) -> Kind {
    match of {
        Type::Nullable(inner) | Type::LowCardinality(inner) | Type::Array(inner) => kind(inner),
        Type::String => Kind::Text,
        Type::Date | Type::Date32 => Kind::Date,
        Type::Uuid => Kind::Uuid,
        Type::Json => Kind::Document,
        _ => Kind::Other,
    }
}

/// The type that the wrapper at the cursor names, and its value. The text is relaxed, so only real wrappers of these names
/// have the expected value in them; `copy` and the decoder look at it.
fn type_of(mut cursor: Cursor<'_>) -> Option<(&[u8], Cursor<'_>)> {
    cursor.eat(b'{').then_some(())?;
    if cursor.peek() != Some(b'"') {
        return None;
    }
    let name = cursor.key().ok()?.raw;
    let value = cursor;
    cursor.skip().ok()?;
    (name.first() == Some(&b'$') && cursor.eat(b'}')).then_some((name, value))
}

fn date_of(mut value: Cursor<'_>) -> Step<i64> {
    if value.peek() == Some(b'"') {
        return date::parse(value.string()?.raw);
    }
    value.expect(b'{')?;
    value.key()?;
    let text = std::str::from_utf8(value.string()?.raw).map_err(|_| Reason::BadValue)?;
    text.parse().map_err(|_| Reason::BadValue)
}

/// A double without a fraction is the whole number that it equals, as in MongoDB.
fn number(text: &[u8], out: &mut Vec<u8>) -> Step<()> {
    /// so far every whole number is a double
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let double = text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    let value: Option<f64> = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    match value.filter(|value| double && value.fract() == 0.0 && value.abs() <= EXACT) {
        Some(value) => out.extend_from_slice((value as i64).to_string().as_bytes()),
        None => out.extend_from_slice(text),
    }
    Ok(())
}

/// An id in the one form that all of its spellings have: numbers that MongoDB takes for equal are.
fn canonical(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => return number(cursor.number()?, out),
        Some(b'{' | b'[') => {}
        _ => return copy_on(cursor, out),
    }
    if let Some((b"$numberDecimal", mut text)) = type_of(*cursor) {
        let text = text.string()?.raw;
        let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        if plain && text.len() <= 18 {
            out.extend_from_slice(text);
            return cursor.skip();
        }
    }
    let (open, close) = match cursor.peek() {
        Some(b'{') => (b'{', b'}'),
        _ => (b'[', b']'),
    };
    cursor.expect(open)?;
    out.push(open);
    if !cursor.eat(close) {
        loop {
            if open == b'{' {
                let name = cursor.key()?;
                extended::quoted(name.raw, out);
                out.push(b':');
            }
            canonical(cursor, out)?;
            if !cursor.more(close)? {
                break;
            }
            out.push(b',');
        }
    }
    out.push(close);
    Ok(())
}

/// Appends the value at the cursor as it stands.
fn copy(mut cursor: Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
    copy_on(&mut cursor, out)
}

fn copy_on(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
    cursor.peek();
    let start = cursor.at();
    cursor.skip()?;
    out.extend_from_slice(cursor.since(start));
    Ok(())
}

/// Appends a text as a JSON string.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            // JSON text has no others within
            b'\t' | b'\n' | b'\r' => out.push(b' '),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}
