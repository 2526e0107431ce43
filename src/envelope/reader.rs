//! How one column is read: what its declared type and its spelling in the message make of it.

use crate::column::Type;
use crate::job::{Column, Mask, NullPolicy};

/// How a value is written in the message: what the embedded schema says, else what the job declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Days,
    /// a whole number of `10^-digits` seconds
    Ticks(u8),
    Base64,
    Base64Url,
    Hex,
    /// base64 of an unscaled number; the scale is the column's own where none is given
    Unscaled(Option<i64>),
    Json,
    Array(Box<Wire>),
}

/// How one column is read.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    Nullable(Box<Reader>),
    Array {
        element: Box<Reader>,
        null: NullPolicy,
    },
    Bool,
    Int {
        width: u8,
        signed: bool,
    },
    /// a whole number that the source writes as a decimal: MySQL's unsigned BIGINT
    UnscaledInt {
        width: u8,
        signed: bool,
        from: Unscaled,
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
    Bytes(Alphabet),
    Json,
    /// an object of any fields
    Document,
    /// a decimal kept as text, because the source does not bound its digits
    DecimalText(Unscaled),
    Uuid,
    Date(Unit),
    Date32(Unit),
    DateTime(Unit),
    DateTime64(u8, Unit),
    Time64(u8, Unit),
    /// as the inner one, and a text that spells such a value, or a number for a text
    Cast(Box<Reader>),
    /// what leaves instead of any single value
    Masked(Mask),
}

/// How text spells bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alphabet {
    Base64,
    Base64Url,
    Hex,
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

impl Reader {
    fn new(kind: &Type, wire: &Wire) -> Reader {
        let unit = match wire {
            Wire::Days => Unit::Days,
            Wire::Ticks(digits) => Unit::Ticks(*digits),
            _ => Unit::Iso,
        };
        let bits = *wire == Wire::Base64;
        let int = |width, signed| match wire {
            Wire::Unscaled(scale) => Reader::UnscaledInt {
                width,
                signed,
                from: Unscaled::Yes(scale.or(Some(0))),
            },
            _ if bits && !signed => Reader::Bits { width },
            _ => Reader::Int { width, signed },
        };
        match kind {
            Type::Nullable(inner) => Reader::Nullable(Box::new(Reader::new(inner, wire))),
            Type::LowCardinality(inner) => Reader::new(inner, wire),
            Type::Array(inner) => {
                let element = match wire {
                    Wire::Array(element) => element,
                    declared => declared,
                };
                Reader::Array {
                    element: Box::new(Reader::new(inner, element)),
                    null: NullPolicy::Reject,
                }
            }
            Type::Bool if bits => Reader::Bits { width: 0 },
            Type::Bool => Reader::Bool,
            Type::Int8 => int(1, true),
            Type::Int16 => int(2, true),
            Type::Int32 => int(4, true),
            Type::Int64 => int(8, true),
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
                Wire::Base64 => Reader::Bytes(Alphabet::Base64),
                Wire::Base64Url => Reader::Bytes(Alphabet::Base64Url),
                Wire::Hex => Reader::Bytes(Alphabet::Hex),
                Wire::Json | Wire::Array(_) => Reader::Json,
                Wire::Unscaled(scale) => Reader::DecimalText(Unscaled::Yes(*scale)),
                _ => Reader::Text,
            },
            Type::Json => Reader::Document,
            Type::Uuid => Reader::Uuid,
            Type::Date => Reader::Date(unit),
            Type::Date32 => Reader::Date32(unit),
            Type::DateTime { .. } => Reader::DateTime(unit),
            Type::DateTime64 { precision, .. } => Reader::DateTime64(*precision, unit),
            Type::Time64 { precision } => Reader::Time64(*precision, unit),
        }
    }

    /// How a column of a job is read, where its values are written so.
    pub(crate) fn of(column: &Column, wire: &Wire) -> Reader {
        if let Some(mask) = &column.mask {
            let masked = Reader::Masked(mask.clone());
            return match (mask, column.kind.is_nullable()) {
                (Mask::Null, _) | (_, false) => masked,
                (_, true) => Reader::Nullable(Box::new(masked)),
            };
        }
        match Reader::new(&column.kind, wire) {
            Reader::Array { element, .. } => Reader::Array {
                element,
                null: column.null,
            },
            _ if column.cast => Reader::casting(&column.kind, wire),
            reader => reader,
        }
    }

    pub(crate) fn casting(kind: &Type, wire: &Wire) -> Reader {
        match Reader::new(kind, wire) {
            Reader::Nullable(inner) => Reader::Nullable(Box::new(Reader::Cast(inner))),
            reader => Reader::Cast(Box::new(reader)),
        }
    }
}
