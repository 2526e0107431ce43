//! One cell of a source row as JSON: the value as Debezium sends it, in the spelling that this module's columns are read by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::array;

/// How the text that the source writes for a value becomes JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// it is JSON already: whole numbers, arrays of pgvector
    Raw,
    /// `t`, `f` and bits of one digit
    Bool,
    /// JSON has no names for what is no number
    Float,
    /// as text, so that no digit is lost; Debezium has its own words for what is no number
    Decimal,
    Text,
    /// dates, times and instants; years that ISO 8601 writes with a sign get one
    Iso,
    /// `\x…`
    Base64,
    /// the bytes themselves
    Bytes,
    /// `0101`, the highest bit first; Debezium sends bytes, the lowest first, without zeros at the end
    Bits,
    Array(Box<Form>),
}

/// The value is not what its type says, so that nobody knows what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Odd;

impl Form {
    pub(crate) fn write(&self, cell: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
        match self {
            Form::Raw => out.extend_from_slice(cell),
            Form::Bool => out.extend_from_slice(match cell {
                b"t" | b"1" => b"true",
                b"f" | b"0" => b"false",
                _ => return Err(Odd),
            }),
            Form::Float => match cell {
                b"NaN" | b"Infinity" | b"-Infinity" => string(cell, out),
                number => out.extend_from_slice(number),
            },
            Form::Decimal => string(
                match cell {
                    b"NaN" => b"NAN",
                    b"Infinity" => b"POSITIVE_INFINITY",
                    b"-Infinity" => b"NEGATIVE_INFINITY",
                    number => number,
                },
                out,
            ),
            Form::Text => string(cell, out),
            Form::Iso => iso(cell, out),
            Form::Base64 => base64(&unhex(cell.strip_prefix(b"\\x").ok_or(Odd)?)?, out),
            Form::Bytes => base64(cell, out),
            Form::Bits => base64(&bits(cell)?, out),
            Form::Array(element) => array::write(cell, element, out)?,
        }
        Ok(())
    }
}

/// A JSON string, escaped as Debezium's converter escapes: nothing but what has to be.
fn string(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        out.extend([b'\\', short]);
        if short == b'u' {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend([b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out.extend_from_slice(text.get(plain..).unwrap_or_default());
    out.push(b'"');
}

fn iso(text: &[u8], out: &mut Vec<u8>) {
    let (text, before_christ) = match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let year = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let clock = text.get(year) == Some(&b':');
    out.push(b'"');
    match (before_christ, year > 4 && !clock) {
        (true, _) => out.push(b'-'),
        (false, true) => out.push(b'+'),
        (false, false) => {}
    }
    out.extend_from_slice(text);
    out.push(b'"');
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

fn unhex(digits: &[u8]) -> Result<Vec<u8>, Odd> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(Odd);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Odd);
    }
    let byte = |[high, low]: &[u8; 2]| Ok((nibble(*high)? << 4 | nibble(*low)?) as u8);
    pairs.iter().map(byte).collect()
}

fn bits(digits: &[u8]) -> Result<Vec<u8>, Odd> {
    let mut bytes = vec![0_u8; digits.len().div_ceil(8)];
    for (place, digit) in digits.iter().rev().enumerate() {
        let byte = bytes.get_mut(place / 8).ok_or(Odd)?;
        match digit {
            b'0' => {}
            b'1' => *byte |= 1 << (place % 8),
            _ => return Err(Odd),
        }
    }
    while bytes.pop_if(|byte| *byte == 0).is_some() {}
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(form: &Form, cell: &str) -> String {
        let mut out = Vec::new();
        form.write(cell.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_become_json_as_debezium_writes_it() {
        for (form, cell, expected) in [
            (Form::Raw, "-7", "-7"),
            (Form::Bool, "t", "true"),
            (Form::Float, "1e-45", "1e-45"),
            (Form::Float, "-Infinity", "\"-Infinity\""),
            (Form::Decimal, "1.50", "\"1.50\""),
            (Form::Decimal, "NaN", "\"NAN\""),
            (
                Form::Text,
                "say \"hi\"\n\u{1} \\ ü",
                "\"say \\\"hi\\\"\\n\\u0001 \\\\ ü\"",
            ),
            (
                Form::Iso,
                "2024-02-29 12:00:00.5+00",
                "\"2024-02-29 12:00:00.5+00\"",
            ),
            (Form::Iso, "21016-01-01", "\"+21016-01-01\""),
            (Form::Iso, "0044-03-15 BC", "\"-0044-03-15\""),
            (Form::Iso, "-infinity", "\"-infinity\""),
            (Form::Base64, "\\x00ff10", "\"AP8Q\""),
            (Form::Bits, "10000001", "\"gQ==\""),
            (Form::Bits, "100000000010", "\"Agg=\""),
            (Form::Bits, "00000000", "\"\""),
            (Form::Array(Box::new(Form::Text)), "{}", "[]"),
            (
                Form::Array(Box::new(Form::Text)),
                r#"{"",NULL,"NULL","a \"b\", {c}",it's,"back\\slash"}"#,
                r#"["",null,"NULL","a \"b\", {c}","it's","back\\slash"]"#,
            ),
            (
                Form::Array(Box::new(Form::Raw)),
                "[0:2]={1,NULL,-3}",
                "[1,null,-3]",
            ),
        ] {
            assert_eq!(json(&form, cell), expected, "{form:?} {cell}");
        }
        assert_eq!(Form::Bool.write(b"maybe", &mut Vec::new()), Err(Odd));
        let nested = Form::Array(Box::new(Form::Raw));
        assert_eq!(nested.write(b"{{1},{2}}", &mut Vec::new()), Err(Odd));
    }
}
