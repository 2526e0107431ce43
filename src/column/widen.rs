//! Which type holds every value of two types exactly: how a column follows its source without a value changing.

use super::Type;

/// Nanoseconds end in the year 2262, coarser instants in 2299: a finer column would lose the years between.
const FINEST_FULL_RANGE: u8 = 8;
const MOST_DECIMAL_DIGITS: u8 = 76;

impl Type {
    /// The narrowest type of the same sort that holds this type's values and the other's; nothing where a value would
    /// have to change. NULL is held where either has it.
    pub fn widened(&self, other: &Type) -> Option<Type> {
        let nullable = self.is_nullable() || other.is_nullable();
        let (kind, cardinality) = match self.plain() {
            (Type::LowCardinality(inner), _) => (inner.plain().0, true),
            (kind, _) => (kind, false),
        };
        let other = match other.plain().0 {
            Type::LowCardinality(inner) => inner.plain().0,
            other => other,
        };
        let kind = join(kind, other)?;
        let wrap = |kind: Type| match nullable {
            true if matches!(kind, Type::Array(_)) => None,
            true => Some(Type::Nullable(Box::new(kind))),
            false => Some(kind),
        };
        match (cardinality, wrap(kind)?) {
            (true, kind) => Some(Type::LowCardinality(Box::new(kind))),
            (false, kind) => Some(kind),
        }
    }

    /// Whether every value of the other type is a value of this one, in the same unit and to the last digit.
    pub fn holds(&self, other: &Type) -> bool {
        self.widened(other).as_ref() == Some(self)
    }

    /// The same type with NULL; an Array has none.
    pub fn nullable(&self) -> Option<Type> {
        match self {
            Type::Nullable(_) => Some(self.clone()),
            Type::Array(_) => None,
            Type::LowCardinality(inner) => Some(Type::LowCardinality(Box::new(inner.nullable()?))),
            kind => Some(Type::Nullable(Box::new(kind.clone()))),
        }
    }

    fn plain(&self) -> (&Type, bool) {
        match self {
            Type::Nullable(inner) => (inner, true),
            kind => (kind, false),
        }
    }
}

fn join(a: &Type, b: &Type) -> Option<Type> {
    if a == b {
        return Some(a.clone());
    }
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return wider_integer(a, b);
    }
    Some(match (a, b) {
        (Type::Float32 | Type::Float64, Type::Float32 | Type::Float64) => Type::Float64,
        (
            Type::Decimal { precision, scale },
            Type::Decimal {
                precision: other,
                scale: other_scale,
            },
        ) => {
            let whole = (precision - scale).max(other - other_scale);
            let scale = *scale.max(other_scale);
            let precision = whole.checked_add(scale)?;
            if precision > MOST_DECIMAL_DIGITS {
                return None;
            }
            Type::Decimal { precision, scale }
        }
        (
            Type::DateTime64 { precision, zone },
            Type::DateTime64 {
                precision: other, ..
            },
        ) => {
            let finest = *precision.max(other);
            if finest > FINEST_FULL_RANGE && finest != *precision {
                return None;
            }
            Type::DateTime64 {
                precision: finest,
                zone: zone.clone(),
            }
        }
        (Type::Time64 { precision }, Type::Time64 { precision: other }) => Type::Time64 {
            precision: *precision.max(other),
        },
        _ => return None,
    })
}

/// Bits, and whether there is a sign.
fn integer(kind: &Type) -> Option<(u8, bool)> {
    Some(match kind {
        Type::Int8 => (8, true),
        Type::Int16 => (16, true),
        Type::Int32 => (32, true),
        Type::Int64 => (64, true),
        Type::UInt8 => (8, false),
        Type::UInt16 => (16, false),
        Type::UInt32 => (32, false),
        Type::UInt64 => (64, false),
        _ => return None,
    })
}

fn wider_integer(a: (u8, bool), b: (u8, bool)) -> Option<Type> {
    let (bits, signed) = match (a, b) {
        ((a, true), (b, true)) => (a.max(b), true),
        ((a, false), (b, false)) => (a.max(b), false),
        // an unsigned number needs one bit more where there is a sign
        ((signed, true), (unsigned, false)) | ((unsigned, false), (signed, true)) => {
            (signed.max(unsigned.checked_mul(2)?), true)
        }
    };
    Some(match (bits, signed) {
        (8, true) => Type::Int8,
        (16, true) => Type::Int16,
        (32, true) => Type::Int32,
        (64, true) => Type::Int64,
        (8, false) => Type::UInt8,
        (16, false) => Type::UInt16,
        (32, false) => Type::UInt32,
        (64, false) => Type::UInt64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widened(from: &str, with: &str) -> String {
        let kind = |text: &str| Type::parse(text).unwrap();
        kind(from)
            .widened(&kind(with))
            .map_or("stop".to_owned(), |kind| kind.to_string())
    }

    #[test]
    fn a_type_widens_only_where_every_value_stays_what_it_is() {
        for (column, source, expected) in [
            ("Int32", "Int64", "Int64"),
            ("Int64", "Int16", "Int64"),
            ("Nullable(Int16)", "Int32", "Nullable(Int32)"),
            ("Int32", "Nullable(Int32)", "Nullable(Int32)"),
            ("UInt8", "Int8", "Int16"),
            ("UInt64", "Int64", "stop"),
            ("Float32", "Float64", "Float64"),
            ("Float64", "Int32", "stop"),
            ("Decimal(10, 2)", "Decimal(12, 2)", "Decimal(12, 2)"),
            ("Decimal(10, 2)", "Decimal(10, 4)", "Decimal(12, 4)"),
            ("Decimal(76, 2)", "Decimal(76, 4)", "stop"),
            (
                "DateTime64(3, 'UTC')",
                "DateTime64(6, 'UTC')",
                "DateTime64(6, 'UTC')",
            ),
            (
                "DateTime64(6, 'UTC')",
                "DateTime64(3, 'UTC')",
                "DateTime64(6, 'UTC')",
            ),
            ("DateTime64(6, 'UTC')", "DateTime64(9, 'UTC')", "stop"),
            ("Time64(3)", "Time64(6)", "Time64(6)"),
            ("String", "Nullable(String)", "Nullable(String)"),
            (
                "LowCardinality(String)",
                "Nullable(String)",
                "LowCardinality(Nullable(String))",
            ),
            ("Int32", "String", "stop"),
            ("String", "Int32", "stop"),
            ("Date32", "DateTime64(6, 'UTC')", "stop"),
            ("Array(Int32)", "Array(Int64)", "stop"),
        ] {
            assert_eq!(widened(column, source), expected, "{column} and {source}");
        }
    }
}
