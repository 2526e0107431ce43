//! Reads `jobs/silver/<name>.toml` into a [`SilverJob`], reporting every fault.

use secrecy::SecretString;

use crate::column::Type;
use crate::document::{Entry, Located, Section};
use crate::fault::suggestion;

use super::format::{DELETES as SHOWN_DELETES, FORMATS};
use super::mongodb::{self, LOOKUP_MISSES};
use super::options;
use super::partition;
use super::{
    Column, DeletePolicy, Deletes, Encoding, Extra, Flattened, Format, Mask, NewColumnPolicy,
    NullPolicy, Policies, Shape, SilverJob, ToastPolicy, TruncatePolicy, ValuePolicy,
};

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
const DELETES: [(&str, DeletePolicy); 2] = [
    ("delete", DeletePolicy::Delete),
    ("ignore", DeletePolicy::Ignore),
];
const TRUNCATES: [(&str, TruncatePolicy); 3] = [
    ("reject", TruncatePolicy::Reject),
    ("ignore", TruncatePolicy::Ignore),
    ("fail", TruncatePolicy::Fail),
];
const VALUES: [(&str, ValuePolicy); 2] =
    [("reject", ValuePolicy::Reject), ("null", ValuePolicy::Null)];
const TOASTS: [(&str, ToastPolicy); 3] = [
    ("reject", ToastPolicy::Reject),
    ("null", ToastPolicy::Null),
    ("keep", ToastPolicy::Keep),
];
const NEW_COLUMNS: [(&str, NewColumnPolicy); 4] = [
    ("reject", NewColumnPolicy::Reject),
    ("ignore", NewColumnPolicy::Ignore),
    ("stop", NewColumnPolicy::Stop),
    ("add", NewColumnPolicy::Add),
];

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

/// `None` where so much is missing that there is no job to speak of; the faults say why.
pub(in crate::job) fn read(
    name: &str,
    root: Section<'_>,
    mask_key: Option<&SecretString>,
) -> Option<SilverJob> {
    let topic = root.required_text("topic");
    let mut tables = root.texts("tables");
    tables.extend(root.text("table"));
    let format = format(&root);
    check_tables(&root, &tables, format);
    let key = root.texts("key");
    let flattened = flattened(&root, format, key.is_empty());
    let time_column = root.text("time_column");
    let immutable = root.texts("immutable");
    let before_image = root.boolean("before_image").unwrap_or(false);
    if before_image && format.shape != Shape::Envelope {
        root.fault(
            0,
            "`before_image`: only Debezium's own envelope has a row as it was: debezium-json or debezium-avro",
        );
    }
    let exclude = root.texts("exclude");
    let epoch = epoch(&root);
    let policies = root.section("policy").map(policies).unwrap_or_default();
    let columns = root.section("columns");
    if columns.is_none() {
        root.fault(
            0,
            "`[columns]` is missing: source field = \"ClickHouse type\"",
        );
    }
    let columns: Vec<Located<Column>> = columns
        .map(|section| {
            let common = Common {
                shape: format.shape,
                toast: policies.toast,
                mask_key,
            };
            columns_of(section, common)
        })
        .unwrap_or_default();
    let mut extras = root
        .section("constants")
        .map(options::constants)
        .unwrap_or_default();
    extras.extend(
        root.section("metadata")
            .map(options::metadata)
            .unwrap_or_default(),
    );
    check_names(&root, &columns, &extras);
    check_key(&root, &key, &columns);
    check_exclude(&root, &exclude, &columns);
    mongodb::check(&root, format.shape, &key, &columns);
    if let Some(wanted) = &time_column {
        check_time_column(&root, wanted, &columns);
    }
    check_immutable(&root, &immutable, &columns);
    let partition_by = partition::read(&root, &key, time_column.as_ref(), &columns);
    check_keep(&root, &key, &columns, policies);
    root.finish();
    Some(SilverJob {
        name: name.to_owned(),
        topic: topic?.value,
        tables: tables.into_iter().map(|table| table.value).collect(),
        format,
        flattened,
        key: key.into_iter().map(|field| field.value).collect(),
        time_column: time_column.map(|column| column.value),
        immutable: immutable.into_iter().map(|column| column.value).collect(),
        partition_by,
        before_image,
        columns: columns.into_iter().map(|column| column.value).collect(),
        extras: extras.into_iter().map(|extra| extra.value).collect(),
        exclude: exclude.into_iter().map(|field| field.value).collect(),
        policies,
        epoch,
    })
}

fn format(root: &Section<'_>) -> Format {
    let format = root.choice("format", &FORMATS);
    format.unwrap_or(Format::DEBEZIUM_JSON)
}

/// `deletes` and `added_prefix`, which only a flattened topic has.
fn flattened(root: &Section<'_>, format: Format, keyless: bool) -> Option<Flattened> {
    let line = root.text("deletes").map(|word| word.line);
    let deletes = root.choice("deletes", &SHOWN_DELETES);
    let prefix = root.text("added_prefix");
    if format.shape != Shape::Flattened {
        for line in [line, prefix.map(|prefix| prefix.line)]
            .into_iter()
            .flatten()
        {
            let message = "`deletes` and `added_prefix` are for flattened formats";
            root.fault(line, message);
        }
        return None;
    }
    if line.is_none() && !keyless {
        root.fault(
            0,
            "`deletes` is missing: say how the flattened topic shows a deleted row: \
             \"tombstone\" (a null value), \"rewrite\" (`__deleted`), or \"none\" (not at all, so deleted rows stay in silver)",
        );
    }
    Some(Flattened {
        deletes: deletes.unwrap_or(Deletes::None),
        prefix: prefix.map_or_else(|| Flattened::PREFIX.to_owned(), |prefix| prefix.value),
    })
}

/// Epochs start at 1 and have eight bits in `_version`.
fn epoch(root: &Section<'_>) -> u8 {
    let Some(given) = root.integer("epoch") else {
        return 1;
    };
    match u8::try_from(given.value) {
        Ok(epoch) if epoch >= 1 => epoch,
        _ => {
            root.fault(given.line, "`epoch` is a whole number from 1 to 255");
            1
        }
    }
}

fn policies(section: Section<'_>) -> Policies {
    let defaults = Policies::default();
    let read = Policies {
        delete: section
            .choice("delete", &DELETES)
            .unwrap_or(defaults.delete),
        truncate: section
            .choice("truncate", &TRUNCATES)
            .unwrap_or(defaults.truncate),
        toast: section.choice("toast", &TOASTS).unwrap_or(defaults.toast),
        out_of_range: section
            .choice("out_of_range", &VALUES)
            .unwrap_or(defaults.out_of_range),
        new_column: section
            .choice("new_column", &NEW_COLUMNS)
            .unwrap_or(defaults.new_column),
        missing_column: section
            .choice("missing_column", &VALUES)
            .unwrap_or(defaults.missing_column),
        lookup_miss: section
            .choice("lookup_miss", &LOOKUP_MISSES)
            .unwrap_or(defaults.lookup_miss),
    };
    section.finish();
    read
}

/// What every column of a job has from the job.
#[derive(Clone, Copy)]
struct Common<'a> {
    shape: Shape,
    toast: ToastPolicy,
    mask_key: Option<&'a SecretString>,
}

fn columns_of(section: Section<'_>, common: Common<'_>) -> Vec<Located<Column>> {
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

/// Every silver table has these, after the columns of its job.
pub const SYSTEM_COLUMNS: [(&str, &str); 7] = [
    ("_version", "UInt64"),
    ("_deleted", "UInt8"),
    ("_topic", "LowCardinality(String)"),
    ("_partition", "Int32"),
    ("_lsn", "Nullable(Int64)"),
    ("_tx_id", "Nullable(Int64)"),
    ("_source_time", "Nullable(DateTime64(3, 'UTC'))"),
];

fn check_names(root: &Section<'_>, columns: &[Located<Column>], extras: &[Located<Extra>]) {
    let columns = columns
        .iter()
        .map(|column| (column.value.name.as_str(), column.line));
    let extras = extras
        .iter()
        .map(|extra| (extra.value.name.as_str(), extra.line));
    let names: Vec<(&str, usize)> = columns.chain(extras).collect();
    for (index, (name, line)) in names.iter().enumerate() {
        if SYSTEM_COLUMNS.iter().any(|(system, _)| system == name) {
            let message = format!("column `{name}` collides with bullion's own: give it a `name`");
            root.fault(*line, message);
        }
        let mut before = names.iter().take(index);
        if before.any(|(other, _)| other == name) {
            root.fault(*line, format!("two columns are named `{name}`"));
        }
    }
}

fn check_key(root: &Section<'_>, key: &[Located<String>], columns: &[Located<Column>]) {
    for field in key {
        let found = columns
            .iter()
            .find(|column| column.value.source == field.value);
        let Some(column) = found else {
            let near = suggestion(
                &field.value,
                columns.iter().map(|column| column.value.source.as_str()),
            );
            let message = format!("key field `{}` is not in [columns]{near}", field.value);
            root.fault(field.line, message);
            continue;
        };
        let kind = &column.value.kind;
        if kind.is_nullable()
            || matches!(
                kind,
                Type::Array(_) | Type::Json | Type::Float32 | Type::Float64
            )
        {
            let message = format!("key field `{}` cannot be a {kind}", field.value);
            root.fault(column.line, message);
        }
        if matches!(column.value.mask, Some(Mask::Null | Mask::Last(_))) {
            let message = format!(
                "key field `{}` can be masked by a hash only: rows must stay apart",
                field.value
            );
            root.fault(column.line, message);
        }
    }
}

/// What is kept is found by the row's key, and by the deletes that changes of key leave behind.
fn check_keep(
    root: &Section<'_>,
    key: &[Located<String>],
    columns: &[Located<Column>],
    policies: Policies,
) {
    let mut keeping = columns
        .iter()
        .filter(|column| column.value.toast == ToastPolicy::Keep);
    let Some(first) = keeping.next() else {
        return;
    };
    let why = if key.is_empty() {
        "needs a `key`: nothing else says which row came before"
    } else if policies.delete == DeletePolicy::Ignore {
        "needs `delete = \"delete\"`: what a change of key leaves alone is found at the deleted row"
    } else {
        return;
    };
    root.fault(first.line, format!("`toast = \"keep\"` {why}"));
}

fn check_tables(root: &Section<'_>, tables: &[Located<String>], format: Format) {
    for table in tables {
        if !table.value.contains('.') {
            let message = format!("`{}`: a table is written schema.table", table.value);
            root.fault(table.line, message);
        }
        if format.shape != Shape::Envelope {
            let message =
                "only Debezium's envelope says of which table a change is: leave `table` out";
            root.fault(table.line, message);
        }
    }
}

fn check_exclude(root: &Section<'_>, exclude: &[Located<String>], columns: &[Located<Column>]) {
    for field in exclude {
        if columns
            .iter()
            .any(|column| column.value.source == field.value)
        {
            let message = format!("`{}` is both in [columns] and in `exclude`", field.value);
            root.fault(field.line, message);
        }
    }
}

fn check_immutable(root: &Section<'_>, immutable: &[Located<String>], columns: &[Located<Column>]) {
    let names = || columns.iter().map(|column| column.value.name.as_str());
    for wanted in immutable {
        if !names().any(|name| name == wanted.value) {
            let near = suggestion(&wanted.value, names());
            let message = format!("immutable `{}` is no column{near}", wanted.value);
            root.fault(wanted.line, message);
        }
    }
}

fn check_time_column(root: &Section<'_>, wanted: &Located<String>, columns: &[Located<Column>]) {
    let names = columns.iter().map(|column| column.value.name.as_str());
    match columns
        .iter()
        .find(|column| column.value.name == wanted.value)
    {
        None => {
            let near = suggestion(&wanted.value, names);
            let message = format!("time_column `{}` is no column{near}", wanted.value);
            root.fault(wanted.line, message);
        }
        Some(column) => {
            let inner = match &column.value.kind {
                Type::Nullable(inner) => inner,
                kind => kind,
            };
            if !matches!(
                inner,
                Type::Date | Type::Date32 | Type::DateTime { .. } | Type::DateTime64 { .. }
            ) {
                let message = format!("time_column `{}` is a {inner}, no time", wanted.value);
                root.fault(wanted.line, message);
            }
        }
    }
}
