//! ClickHouse types that a job may declare, parsed once from their own spelling.

use std::fmt;

/// A ClickHouse column type. `parse` and `Display` are inverse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    /// precision 1–76, scale ≤ precision
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Uuid,
    Date,
    Date32,
    /// whole seconds
    DateTime {
        zone: Option<String>,
    },
    /// `precision` digits of a second, 0–9
    DateTime64 {
        precision: u8,
        zone: Option<String>,
    },
    /// time of day, `precision` digits of a second, 0–9
    Time64 {
        precision: u8,
    },
    /// documents of any fields; a cell is its text
    Json,
    Nullable(Box<Type>),
    LowCardinality(Box<Type>),
    Array(Box<Type>),
}

/// Most digits that a ClickHouse decimal holds (Decimal256).
const MOST_DECIMAL_DIGITS: u8 = 76;
/// Finest fraction of a second that ClickHouse keeps: nanoseconds.
const FINEST_SECOND: u8 = 9;

impl Type {
    pub fn parse(text: &str) -> Result<Type, String> {
        let text = text.trim();
        let (name, inside) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(inside) => (name.trim(), Some(inside.trim())),
                None => return Err(format!("`{text}` lacks its closing parenthesis")),
            },
        };
        match (name, inside) {
            ("Nullable", Some(inner)) => match Type::parse(inner)? {
                Type::Nullable(_) | Type::Array(_) | Type::LowCardinality(_) => {
                    Err(format!("ClickHouse has no `{text}`"))
                }
                inner => Ok(Type::Nullable(Box::new(inner))),
            },
            ("LowCardinality", Some(inner)) => match Type::parse(inner)? {
                inner @ Type::String => Ok(Type::LowCardinality(Box::new(inner))),
                Type::Nullable(inner) if *inner == Type::String => {
                    Ok(Type::LowCardinality(Box::new(Type::Nullable(inner))))
                }
                _ => Err(format!("`{text}`: only strings can be LowCardinality here")),
            },
            ("Array", Some(inner)) => match Type::parse(inner)? {
                Type::Json => Err(format!(
                    "`{text}`: a JSON column is an object; it may hold arrays"
                )),
                inner => Ok(Type::Array(Box::new(inner))),
            },
            ("Decimal", Some(digits)) => decimal(text, digits),
            ("DateTime", None) => Ok(Type::DateTime { zone: None }),
            ("DateTime", Some(zone)) => Ok(Type::DateTime {
                zone: Some(quoted(text, zone)?),
            }),
            ("DateTime64", Some(inside)) => {
                let (precision, zone) = match inside.split_once(',') {
                    None => (inside, None),
                    Some((precision, zone)) => (precision, Some(quoted(text, zone)?)),
                };
                Ok(Type::DateTime64 {
                    precision: number(text, precision, FINEST_SECOND)?,
                    zone,
                })
            }
            ("Time64", Some(precision)) => Ok(Type::Time64 {
                precision: number(text, precision, FINEST_SECOND)?,
            }),
            (name, None) => plain(name).ok_or_else(|| unknown(name)),
            (name, Some(_)) => Err(unknown(name)),
        }
    }

    /// Bytes of any length, or an array of such.
    pub fn is_text(&self) -> bool {
        match self {
            Type::String => true,
            Type::LowCardinality(inner) | Type::Nullable(inner) | Type::Array(inner) => {
                inner.is_text()
            }
            _ => false,
        }
    }

    pub fn is_nullable(&self) -> bool {
        match self {
            Type::Nullable(_) => true,
            Type::LowCardinality(inner) => inner.is_nullable(),
            _ => false,
        }
    }
}

const PLAIN: [(&str, Type); 16] = [
    ("Bool", Type::Bool),
    ("Int8", Type::Int8),
    ("Int16", Type::Int16),
    ("Int32", Type::Int32),
    ("Int64", Type::Int64),
    ("UInt8", Type::UInt8),
    ("UInt16", Type::UInt16),
    ("UInt32", Type::UInt32),
    ("UInt64", Type::UInt64),
    ("Float32", Type::Float32),
    ("Float64", Type::Float64),
    ("String", Type::String),
    ("UUID", Type::Uuid),
    ("Date", Type::Date),
    ("Date32", Type::Date32),
    ("JSON", Type::Json),
];
const WITH_ARGUMENTS: [&str; 7] = [
    "Nullable(…)",
    "LowCardinality(…)",
    "Array(…)",
    "Decimal(p, s)",
    "DateTime",
    "DateTime64(p, 'zone')",
    "Time64(p)",
];

fn plain(name: &str) -> Option<Type> {
    PLAIN
        .iter()
        .find(|(spelled, _)| *spelled == name)
        .map(|(_, kind)| kind.clone())
}

fn unknown(name: &str) -> String {
    let known = PLAIN.iter().map(|(name, _)| *name).chain(WITH_ARGUMENTS);
    let near = known
        .clone()
        .map(|candidate| {
            let bare = candidate.split('(').next().unwrap_or(candidate);
            (
                strsim::damerau_levenshtein(&bare.to_lowercase(), &name.to_lowercase()),
                candidate,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2);
    match near {
        Some((_, candidate)) => format!("unknown type `{name}`, did you mean `{candidate}`?"),
        None => format!(
            "unknown type `{name}`; known are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

fn decimal(text: &str, digits: &str) -> Result<Type, String> {
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let precision = number(text, precision, MOST_DECIMAL_DIGITS)?;
    let scale = number(text, scale, precision)?;
    if precision == 0 {
        return Err(format!("`{text}`: a decimal has at least one digit"));
    }
    Ok(Type::Decimal { precision, scale })
}

fn number(text: &str, digits: &str, most: u8) -> Result<u8, String> {
    match digits.trim().parse::<u8>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!(
            "`{text}`: `{}` is not a whole number from 0 to {most}",
            digits.trim()
        )),
    }
}

fn quoted(text: &str, zone: &str) -> Result<String, String> {
    let name = zone
        .trim()
        .strip_prefix('\'')
        .and_then(|zone| zone.strip_suffix('\''))
        .ok_or_else(|| format!("`{text}`: a time zone stands in single quotes, such as 'UTC'"))?;
    match name.parse::<chrono_tz::Tz>() {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(format!("`{text}`: `{name}` is no known time zone")),
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            Type::DateTime { zone: None } => f.write_str("DateTime"),
            Type::DateTime { zone: Some(zone) } => write!(f, "DateTime('{zone}')"),
            Type::DateTime64 {
                precision,
                zone: None,
            } => write!(f, "DateTime64({precision})"),
            Type::DateTime64 {
                precision,
                zone: Some(zone),
            } => write!(f, "DateTime64({precision}, '{zone}')"),
            Type::Time64 { precision } => write!(f, "Time64({precision})"),
            Type::Nullable(inner) => write!(f, "Nullable({inner})"),
            Type::LowCardinality(inner) => write!(f, "LowCardinality({inner})"),
            Type::Array(inner) => write!(f, "Array({inner})"),
            plain => {
                let name = PLAIN.iter().find(|(_, kind)| kind == plain);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_as_it_is_written() {
        for text in [
            "Bool",
            "UInt64",
            "Float32",
            "UUID",
            "Date32",
            "JSON",
            "Nullable(JSON)",
            "Decimal(76, 76)",
            "DateTime",
            "DateTime64(6, 'UTC')",
            "DateTime64(3)",
            "Time64(6)",
            "Nullable(Decimal(10, 2))",
            "LowCardinality(Nullable(String))",
            "Array(Nullable(DateTime64(6, 'Europe/Berlin')))",
        ] {
            assert_eq!(Type::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_type_is_answered_with_the_nearest_right_one() {
        let fault = |text: &str| Type::parse(text).unwrap_err();
        assert_eq!(
            fault("Strng"),
            "unknown type `Strng`, did you mean `String`?"
        );
        assert_eq!(fault("uuid"), "unknown type `uuid`, did you mean `UUID`?");
        assert!(fault("Decimal(77, 2)").contains("from 0 to 76"));
        assert!(fault("Decimal(4, 5)").contains("from 0 to 4"));
        assert!(fault("DateTime64(6, UTC)").contains("single quotes"));
        assert!(fault("DateTime64(6, 'Mars/Olympus')").contains("no known time zone"));
        assert!(fault("Nullable(Array(String))").contains("ClickHouse has no"));
        assert!(fault("Array(String").contains("closing parenthesis"));
    }
}
