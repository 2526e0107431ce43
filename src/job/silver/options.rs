//! What a column makes of a source value, and columns that come from elsewhere.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::{Column, SilverJob};
use crate::column::{Data, Type};
use crate::document::{Entry, Located, Section};
use crate::envelope::constant;

/// What leaves the decoder instead of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// HMAC-SHA-256 of the value's text, in hexadecimal: equal values stay equal, and nobody without the key can try values
    Hash(MaskKey),
    /// only so many characters at the end are told
    Last(usize),
    Null,
}

/// The secret of hashes; never shown.
#[derive(Clone)]
pub struct MaskKey(Arc<SecretString>);

impl MaskKey {
    pub fn new(key: SecretString) -> MaskKey {
        MaskKey(Arc::new(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(******)")
    }
}

impl PartialEq for MaskKey {
    fn eq(&self, other: &MaskKey) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for MaskKey {}

/// A column that is no field of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    pub name: String,
    pub kind: Type,
    pub(crate) from: ExtraFrom,
}

impl Extra {
    /// Otherwise it is of the Kafka message.
    pub fn is_constant(&self) -> bool {
        self.constant().is_some()
    }

    pub(crate) fn constant(&self) -> Option<&Data> {
        match &self.from {
            ExtraFrom::Constant(cell) => Some(cell),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExtraFrom {
    /// one cell
    Constant(Data),
    /// of the Kafka message
    Timestamp,
    Offset,
    Partition,
    Topic,
    Key,
    Header(String),
}

impl SilverJob {
    /// Whether a row holds the time of its Kafka message.
    pub fn needs_timestamp(&self) -> bool {
        self.extras
            .iter()
            .any(|extra| extra.from == ExtraFrom::Timestamp)
    }
}

/// Shorter ones can be tried out.
const SHORTEST_KEY: usize = 16;

/// `mask = "hash"`, `"null"` or `"last 4"`.
pub(super) fn mask(
    table: &Section<'_>,
    source: &str,
    kind: Option<&Type>,
    key: Option<&SecretString>,
) -> Option<Mask> {
    let word = table.text("mask")?;
    let fault = |message: String| {
        table.fault(word.line, format!("`{source}`: {message}"));
        None
    };
    let plain = kind.map(|kind| match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) => match &**inner {
            Type::Nullable(inner) => inner,
            inner => inner,
        },
        kind => kind,
    });
    let is_text = plain.is_none_or(|kind| *kind == Type::String);
    let last = word.value.strip_prefix("last ").map(str::parse::<usize>);
    match (word.value.as_str(), last) {
        ("hash", _) if !is_text => fault("a hash is a String".to_owned()),
        ("hash", _) => match key {
            None => fault(
                "`mask = \"hash\"` needs a key: BULLION_MASK_KEY or BULLION_MASK_KEY_FILE"
                    .to_owned(),
            ),
            Some(key) if key.expose_secret().len() < SHORTEST_KEY => fault(format!(
                "the key of BULLION_MASK_KEY is shorter than {SHORTEST_KEY} bytes"
            )),
            Some(key) => Some(Mask::Hash(MaskKey::new(key.clone()))),
        },
        ("null", _) if !kind.is_none_or(Type::is_nullable) => {
            fault("`mask = \"null\"` needs a Nullable type".to_owned())
        }
        ("null", _) => Some(Mask::Null),
        (_, Some(Ok(_))) if !is_text => fault("the end of a text is a String".to_owned()),
        (_, Some(Ok(length))) => Some(Mask::Last(length)),
        (word, _) => fault(format!(
            "`mask` is \"hash\", \"null\" or \"last 4\", not `{word}`"
        )),
    }
}

/// `name = { type = "…", value = "…" }`
pub(super) fn constants(section: Section<'_>) -> Vec<Located<Extra>> {
    let mut extras = Vec::new();
    for (name, entry) in section.entries() {
        let Entry::Section(table) = entry else {
            let message =
                format!("`constants.{name}` is written {{ type = \"…\", value = \"…\" }}");
            section.fault(section.line(), message);
            continue;
        };
        let (kind, value) = (table.required_text("type"), table.required_text("value"));
        if let (Some(kind), Some(value)) = (kind, value) {
            let read =
                Type::parse(&kind.value).and_then(|kind| match constant(&kind, &value.value) {
                    Some(cell) => Ok((kind, cell)),
                    None => Err(format!("`{}` is no {kind}", value.value)),
                });
            match read {
                Ok((kind, cell)) => extras.push(Located {
                    line: table.line(),
                    value: Extra {
                        name,
                        kind,
                        from: ExtraFrom::Constant(cell),
                    },
                }),
                Err(message) => table.fault(kind.line.max(value.line), message),
            }
        }
        table.finish();
    }
    extras
}

/// `name = "timestamp"`, `"offset"`, `"partition"`, `"topic"`, `"key"` or `"header:NAME"`
pub(super) fn metadata(section: Section<'_>) -> Vec<Located<Extra>> {
    const TEXT: &str = "Nullable(String)";
    let mut extras = Vec::new();
    for (name, entry) in section.entries() {
        let Entry::Text(word) = entry else {
            let message = format!("`metadata.{name}` is a word: name = \"timestamp\"");
            section.fault(section.line(), message);
            continue;
        };
        let (kind, from) = match word.value.as_str() {
            "timestamp" => ("Nullable(DateTime64(3, 'UTC'))", ExtraFrom::Timestamp),
            "offset" => ("Int64", ExtraFrom::Offset),
            "partition" => ("Int32", ExtraFrom::Partition),
            "topic" => ("LowCardinality(String)", ExtraFrom::Topic),
            "key" => (TEXT, ExtraFrom::Key),
            other => match other.strip_prefix("header:") {
                Some(header) if !header.is_empty() => (TEXT, ExtraFrom::Header(header.to_owned())),
                _ => {
                    let message = format!(
                        "`metadata.{name}` is timestamp, offset, partition, topic, key or header:NAME, not `{other}`"
                    );
                    section.fault(word.line, message);
                    continue;
                }
            },
        };
        if let Ok(kind) = Type::parse(kind) {
            extras.push(Located {
                line: word.line,
                value: Extra { name, kind, from },
            });
        }
    }
    extras
}

/// What `cast` and `mask` leave no room for.
pub(super) fn check(table: &Section<'_>, column: &Column, from: bool) {
    let fault =
        |message: &str| table.fault(table.line(), format!("`{}`: {message}", column.source));
    if column.mask.is_some() && (column.cast || from) {
        fault("a mask takes any value as it is written: leave `cast` and `from` out");
    }
    if column.cast && from {
        fault("`from` says how the value is written already: leave `cast` out");
    }
    if column.cast && matches!(column.kind, Type::Array(_)) {
        fault("`cast` is for single values, not for an Array");
    }
}
