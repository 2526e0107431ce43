//! A cell's text as the JSON value that the job's decoder reads. Whatever stands in it, it is one value, or refused.

use serde::de::IgnoredAny;

use crate::column::Type;
use crate::job::{Column, Encoding};
use crate::snapshot::{Form, Odd};

/// How the cells of a column are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// digits
    Whole,
    /// as JSON has it, or `NaN`, `Infinity`, `-Infinity`
    Float,
    Decimal,
    Bool,
    /// a JSON array
    Array,
    /// `\x…`, or as the job's messages have it
    Bytes,
    /// dates and times too
    Text,
}

impl Spelling {
    /// What a column's cells look like, and how the JSON that they become is to be read.
    pub(super) fn of(column: &Column) -> (Spelling, Encoding) {
        use Encoding::Plain;
        match innermost(&column.kind) {
            Type::Bool => (Spelling::Bool, Plain),
            Type::Float32 | Type::Float64 => (Spelling::Float, Plain),
            Type::Decimal { .. } => (Spelling::Decimal, Plain),
            Type::Array(_) => (Spelling::Array, column.encoding),
            Type::String => match column.encoding {
                Encoding::Base64 => (Spelling::Bytes, Encoding::Base64),
                kept @ (Encoding::Base64Url | Encoding::Hex) => (Spelling::Text, kept),
                _ => (Spelling::Text, Plain),
            },
            Type::Date
            | Type::Date32
            | Type::DateTime { .. }
            | Type::DateTime64 { .. }
            | Type::Time64 { .. }
            | Type::Uuid
            | Type::Json => (Spelling::Text, Plain),
            _ => (Spelling::Whole, Plain),
        }
    }

    pub(super) fn write(self, cell: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
        match self {
            Spelling::Whole => {
                let digits = cell.strip_prefix(b"-").unwrap_or(cell);
                let is_number = match digits {
                    [b'0', _, ..] | [] => false,
                    digits => digits.iter().all(u8::is_ascii_digit),
                };
                raw(is_number, cell, out)
            }
            Spelling::Float if matches!(cell, b"NaN" | b"Infinity" | b"-Infinity") => {
                Form::Float.write(cell, out)
            }
            Spelling::Float => {
                let is_number = serde_json::from_slice::<f64>(cell).is_ok();
                raw(is_number && cell.trim_ascii() == cell, cell, out)
            }
            Spelling::Decimal => Form::Decimal.write(cell, out),
            Spelling::Bool => {
                let short = match cell {
                    b"true" => b"t",
                    b"false" => b"f",
                    short => short,
                };
                Form::Bool.write(short, out)
            }
            Spelling::Array => {
                let is_array = cell.first() == Some(&b'[')
                    && serde_json::from_slice::<IgnoredAny>(cell).is_ok();
                raw(is_array, cell, out)
            }
            Spelling::Bytes if cell.starts_with(b"\\x") => Form::Base64.write(cell, out),
            Spelling::Bytes | Spelling::Text => Form::Text.write(cell, out),
        }
    }
}

fn raw(is_one_value: bool, cell: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    if !is_one_value {
        return Err(Odd);
    }
    Form::Raw.write(cell, out)
}

fn innermost(kind: &Type) -> &Type {
    match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) => innermost(inner),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_value_of_its_type_or_refused() {
        let json = |spelling: Spelling, cell: &str| {
            let mut out = Vec::new();
            let written = spelling.write(cell.as_bytes(), &mut out);
            written.map(|()| String::from_utf8(out).unwrap())
        };
        for (spelling, cell, expected) in [
            (Spelling::Whole, "-7", "-7"),
            (Spelling::Whole, "0", "0"),
            (Spelling::Float, "1e-4", "1e-4"),
            (Spelling::Float, "NaN", "\"NaN\""),
            (Spelling::Decimal, "1.50", "\"1.50\""),
            (Spelling::Bool, "true", "true"),
            (Spelling::Bool, "f", "false"),
            (Spelling::Array, r#"["a", null]"#, r#"["a", null]"#),
            (Spelling::Bytes, r"\x00ff10", "\"AP8Q\""),
            (Spelling::Bytes, "AP8Q", "\"AP8Q\""),
            (Spelling::Text, r#"x","id":7"#, r#""x\",\"id\":7""#),
        ] {
            assert_eq!(json(spelling, cell).as_deref(), Ok(expected), "{cell}");
        }
        for (spelling, cell) in [
            (Spelling::Whole, "7,\"id\":8"),
            (Spelling::Whole, "007"),
            (Spelling::Whole, "1.5"),
            (Spelling::Whole, ""),
            (Spelling::Float, "1,\"id\":8"),
            (Spelling::Float, " 1"),
            (Spelling::Float, "inf"),
            (Spelling::Bool, "yes"),
            (Spelling::Array, "[1],\"id\":[8]"),
            (Spelling::Array, "{1,2}"),
        ] {
            assert_eq!(json(spelling, cell), Err(Odd), "{cell}");
        }
    }
}
