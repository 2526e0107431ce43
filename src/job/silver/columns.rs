//! Reads `[columns]` of a silver job.

use secrecy::SecretString;

use crate::column::Type;
use crate::document::{Entry, Located, Section};

use super::read::TOASTS;
use super::{Column, Encoding, NullPolicy, Shape, ToastPolicy, mongodb, options};

const ENCODINGS: [(&str, Encoding); 12] = [
    ("plain", Encoding::Plain),
    ("days", Encoding::Days),
    ("millis", Encoding::Millis),
    ("micros", Encoding::Micros),
    ("nanos", Encoding::Nanos),
    ("base64", Encoding::Base64),
    ("base64url", Encoding::Base64Url),
    ("hex", Encoding::Hex),
    ("unscaled", Encoding::Unscaled),
    ("json", Encoding::Json),
    ("objectid", Encoding::ObjectId),
    ("text", Encoding::Text),
];
const NULLS: [(&str, NullPolicy); 2] =
    [("reject", NullPolicy::Reject), ("empty", NullPolicy::Empty)];

impl Encoding {
    /// The word for it in a job file.
    pub fn as_str(self) -> &'static str {
        let found = ENCODINGS.iter().find(|(_, encoding)| *encoding == self);
        found.map_or("plain", |(word, _)| word)
    }

    pub fn parse(word: &str) -> Option<Encoding> {
        let found = ENCODINGS.iter().find(|(known, _)| *known == word);
        found.map(|(_, encoding)| *encoding)
    }
}

/// What every column of a job has from the job.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) shape: Shape,
    pub(super) toast: ToastPolicy,
    pub(super) mask_key: Option<&'a SecretString>,
}

pub(super) fn columns_of(section: Section<'_>, common: Common<'_>) -> Vec<Located<Column>> {
    let mut columns = Vec::new();
    for (source, entry) in section.entries() {
        let column = match entry {
            Entry::Text(kind) => parse_type(&section, &kind).map(|parsed| Located {
                line: kind.line,
                value: Column {
                    name: source.clone(),
                    source,
                    kind: parsed,
                    encoding: Encoding::Plain,
                    null: NullPolicy::default(),
                    added: None,
                    toast: common.toast,
                    cast: false,
                    mask: None,
                },
            }),
            Entry::Section(table) => column_of(source, table, common),
        };
        columns.extend(column);
    }
    columns
}

/// `field = { type = "…", name = "…", from = "…", cast = true, null = "…", toast = "…", mask = "…", path = "…" }`
fn column_of(field: String, table: Section<'_>, common: Common<'_>) -> Option<Located<Column>> {
    let kind = table.required_text("type");
    let name = table.text("name");
    let from = table.choice("from", &ENCODINGS);
    let encoding = from.unwrap_or(Encoding::Plain);
    let cast = table.boolean("cast").unwrap_or(false);
    let null = table.choice("null", &NULLS);
    let path = table.text("path");
    mongodb::check_column(&table, common.shape, path.as_ref(), encoding);
    let source = path.map_or_else(|| field.clone(), |path| path.value);
    let toast = table.choice("toast", &TOASTS).unwrap_or(common.toast);
    let line = table.line();
    let parsed = kind.as_ref().and_then(|kind| parse_type(&table, kind));
    if let Some(kind) = &parsed
        && !fits(encoding, kind)
    {
        let word = encoding.as_str();
        table.fault(
            line,
            format!("`{source}`: a {kind} cannot be read from {word}"),
        );
    }
    if let (Some(kind), Some(_)) = (&parsed, null)
        && !matches!(kind, Type::Array(_))
    {
        let message = format!(
            "`{source}`: `null` is for arrays; a {kind} takes NULL where it is declared Nullable"
        );
        table.fault(line, message);
    }
    let mask = options::mask(&table, &source, parsed.as_ref(), common.mask_key);
    let column = parsed.map(|kind| Column {
        name: name.map_or(field, |name| name.value),
        source,
        kind,
        encoding,
        null: null.unwrap_or_default(),
        added: None,
        toast,
        cast,
        mask,
    });
    if let Some(column) = &column {
        options::check(&table, column, from.is_some());
    }
    table.finish();
    Some(Located {
        line,
        value: column?,
    })
}

fn parse_type(section: &Section<'_>, text: &Located<String>) -> Option<Type> {
    match Type::parse(&text.value) {
        Ok(kind) => Some(kind),
        Err(message) => {
            section.fault(text.line, message);
            None
        }
    }
}

fn fits(encoding: Encoding, kind: &Type) -> bool {
    match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) | Type::Array(inner) => {
            fits(encoding, inner)
        }
        Type::Date | Type::Date32 => matches!(encoding, Encoding::Plain | Encoding::Days),
        Type::DateTime { .. } | Type::DateTime64 { .. } | Type::Time64 { .. } => matches!(
            encoding,
            Encoding::Plain | Encoding::Millis | Encoding::Micros | Encoding::Nanos
        ),
        Type::Decimal { .. } | Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => {
            matches!(encoding, Encoding::Plain | Encoding::Unscaled)
        }
        Type::String => matches!(
            encoding,
            Encoding::Plain
                | Encoding::Base64
                | Encoding::Base64Url
                | Encoding::Hex
                | Encoding::Json
                | Encoding::ObjectId
                | Encoding::Text
        ),
        Type::Json => matches!(encoding, Encoding::Plain | Encoding::Json),
        // base64: a bit field, bytes with the lowest bit first
        Type::UInt8 | Type::UInt16 | Type::UInt32 | Type::UInt64 => matches!(
            encoding,
            Encoding::Plain | Encoding::Base64 | Encoding::Unscaled
        ),
        _ => encoding == Encoding::Plain,
    }
}
