//! Reads `jobs/silver/<name>.toml` into a [`SilverJob`], reporting every fault.

use secrecy::SecretString;

use crate::document::{Located, Section};

use super::columns::{Common, columns_of};
use super::format::{DELETES as SHOWN_DELETES, FORMATS};
use super::mongodb::{self, LOOKUP_MISSES};
use super::{
    Column, DeletePolicy, Deletes, Flattened, Format, NewColumnPolicy, Policies, Shape, SilverJob,
    ToastPolicy, TruncatePolicy, ValuePolicy, check, options, partition,
};

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
pub(super) const TOASTS: [(&str, ToastPolicy); 3] = [
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
    check::tables(&root, &tables, format);
    if !root.has("key") {
        root.fault(
            0,
            "`key` is missing: the fields that identify a row, as Debezium sends them in the message's key; `key = []` where there are none",
        );
    }
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
    check::names(&root, &columns, &extras);
    check::key(&root, &key, &columns);
    check::exclude(&root, &exclude, &columns);
    mongodb::check(&root, format.shape, &key, &columns);
    if let Some(wanted) = &time_column {
        check::time_column(&root, wanted, &columns);
    }
    check::immutable(&root, &immutable, &columns);
    let partition_by = partition::read(&root, &key, time_column.as_ref(), &columns);
    check::kept(&root, &key, &columns, policies);
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
