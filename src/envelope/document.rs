//! JSON text for a ClickHouse `JSON` column: only what ClickHouse takes and gives back with the same meaning.
//!
//! One such cell that ClickHouse refuses would fail the insert of a whole block, so everything is looked at here: names
//! that stand twice, numbers that neither a 64-bit integer nor a Float64 holds, halves of surrogate pairs.

use std::collections::HashSet;

use super::fate::Reason;
use super::json::{Cursor, MOST_LEVELS, Step};

/// Every Float64 is told apart by so many digits; a number of more has some that the column would drop.
const FLOAT_DIGITS: usize = 17;

/// Appends one object. ClickHouse takes a dot in a name for a step into the object, so it is written as ClickHouse itself
/// escapes it; `json_type_escape_dots_in_keys=1` shows it as a dot.
pub(super) fn object(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Step<()> {
    match cursor.peek() {
        Some(b'{') => value(cursor, out, 0),
        _ => Err(Reason::BadValue),
    }
}

/// The same, where the object is all there is of the text. A text that is no such object is a bad value, not a bad message.
pub(super) fn whole(text: &[u8], out: &mut Vec<u8>) -> Step<()> {
    let mut cursor = Cursor::new(text);
    let read = object(&mut cursor, out).and_then(|()| cursor.end());
    read.map_err(|reason| match reason {
        Reason::BadJson => Reason::BadValue,
        other => other,
    })
}

fn value(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, level: u32) -> Step<()> {
    if level > MOST_LEVELS {
        return Err(Reason::TooDeep);
    }
    match cursor.peek() {
        Some(b'{') => members(cursor, out, level),
        Some(b'[') => elements(cursor, out, level),
        Some(b'"') => {
            let text = cursor.string()?;
            text.resolve(&mut Vec::new())?;
            quoted(text.raw, out);
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => {
            let text = cursor.number()?;
            number(text)?;
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
            let mut name = Vec::new();
            names.add(&dotless(key.resolve(&mut name)?))?;
            quoted(&dotless(key.raw), out);
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

fn quoted(raw: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(raw);
    out.push(b'"');
}

fn dotless(name: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !name.contains(&b'.') {
        return name.into();
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
    parts.join(&b"%2E"[..]).into()
}

fn number(text: &[u8]) -> Step<()> {
    let spelled = std::str::from_utf8(text).map_err(|_| Reason::BadJson)?;
    if !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        let held = spelled.parse::<i64>().is_ok() || spelled.parse::<u64>().is_ok();
        return if held {
            Ok(())
        } else {
            Err(Reason::OutOfRange)
        };
    }
    match spelled.parse::<f64>() {
        Ok(value) if value.is_finite() => {}
        _ => return Err(Reason::OutOfRange),
    }
    let mantissa = text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let digits: Vec<u8> = mantissa.copied().filter(u8::is_ascii_digit).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let trailing = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    match digits.len().saturating_sub(leading + trailing) {
        0..=FLOAT_DIGITS => Ok(()),
        _ => Err(Reason::PrecisionLoss),
    }
}

/// The names of one object, each of which may stand there once.
#[derive(Default)]
pub(super) struct Names {
    few: Vec<Box<[u8]>>,
    many: HashSet<Box<[u8]>>,
}

impl Names {
    /// So many are looked through from the start; more are hashed.
    const FEW: usize = 16;

    pub(super) fn add(&mut self, name: &[u8]) -> Step<()> {
        if self.few.iter().any(|known| **known == *name) {
            return Err(Reason::DuplicateField);
        }
        if self.few.len() < Self::FEW {
            self.few.push(name.into());
            return Ok(());
        }
        match self.many.insert(name.into()) {
            true => Ok(()),
            false => Err(Reason::DuplicateField),
        }
    }
}
