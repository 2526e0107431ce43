//! A silver job: which topic, which key, which columns of which type, and what to do with the odd ones.

mod check;
mod columns;
mod format;
mod line;
mod mongodb;
mod options;
mod partition;
mod read;
mod time;

pub use check::SYSTEM_COLUMNS;
pub use format::{Deletes, Flattened, Format, Shape, Wire};
pub(crate) use line::quoted;
pub use mongodb::{LookupMiss, WHOLE_DOCUMENT};
pub(crate) use options::ExtraFrom;
pub use options::{Extra, Mask, MaskKey};
pub(super) use read::read;
pub use time::EarlierTime;

use crate::column::Type;
use crate::window::Grain;

/// One validated `jobs/silver/<name>.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilverJob {
    /// file name without `.toml`; the table is `silver.<name>_versions`, the view `silver.<name>`
    pub name: String,
    pub topic: String,
    /// `schema.table` of the source, where the topic holds several; empty: all its changes are of this job
    pub tables: Vec<String>,
    pub format: Format,
    /// for a format whose shape is [`Shape::Flattened`], and only for it
    pub flattened: Option<Flattened>,
    /// source fields that identify a row, in the order of the table's ORDER BY; empty: no key
    pub key: Vec<String>,
    /// event time of a row, by its table name, where the job declares one
    pub time_column: Option<String>,
    /// columns of the table whose values never change while a row lives
    pub immutable: Vec<String>,
    /// how much of `time_column` a partition of the table holds, in UTC; the column is part of the key then, if there is one
    pub partition_by: Option<Grain>,
    /// every update and delete carries the whole row as it was
    pub before_image: bool,
    pub columns: Vec<Column>,
    /// after them in the table
    pub extras: Vec<Extra>,
    /// source fields that are known and left out on purpose
    pub exclude: Vec<String>,
    pub policies: Policies,
    /// raised by an operator when the topic's offsets start over; 1–255
    pub epoch: u8,
}

/// One column of the silver table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// field name in `before`, `after` and the key; of a document also a path, or [`WHOLE_DOCUMENT`]
    pub source: String,
    /// column name in ClickHouse; the same unless renamed
    pub name: String,
    pub kind: Type,
    /// how the source writes the value, where JSON alone does not say
    pub encoding: Encoding,
    pub null: NullPolicy,
    /// the job's policy, or the column's own
    pub toast: ToastPolicy,
    /// a text that spells a number is read as that number, and a number as its text
    pub cast: bool,
    pub mask: Option<Mask>,
    /// added by ingest and not by a person: a message that lacks the field is older than the column, and stores NULL
    pub added: Option<Added>,
}

/// When ingest added a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// the source's time of the message that brought the field, milliseconds since 1970: a later one that lacks it
    /// means that the source has dropped it again
    pub since: Option<i64>,
}

/// What a NULL becomes in an Array, which ClickHouse cannot make Nullable. Other columns say it by their type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullPolicy {
    #[default]
    Reject,
    /// the empty array: NULL and `{}` are then the same
    Empty,
}

/// How a source writes a value that JSON does not describe by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// the JSON value is the value: numbers, strings, booleans, ISO 8601 dates and times
    Plain,
    /// days since 1970-01-01
    Days,
    /// since 1970-01-01T00:00:00Z (or midnight, for a time of day)
    Millis,
    Micros,
    Nanos,
    /// base64 text of raw bytes
    Base64,
    /// the same in the alphabet that is safe in addresses
    Base64Url,
    /// two hexadecimal digits for each byte
    Hex,
    /// base64 of a big-endian two's complement number, of the column's own scale (Debezium's `precise`)
    Unscaled,
    /// any JSON value, kept as its own text
    Json,
    /// 24 hexadecimal digits of an ObjectId, and nothing else
    ObjectId,
    /// text, and no ObjectId
    Text,
}

/// What happens to input that has no single right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    pub delete: DeletePolicy,
    pub truncate: TruncatePolicy,
    /// of columns that declare none of their own
    pub toast: ToastPolicy,
    /// a value that the column cannot hold: out of range, infinite, too precise
    pub out_of_range: ValuePolicy,
    pub new_column: NewColumnPolicy,
    /// a declared field that a row image lacks
    pub missing_column: ValuePolicy,
    pub lookup_miss: LookupMiss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// the row disappears from `silver.<name>`
    Delete,
    /// the row stays as it last was (an archive)
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruncatePolicy {
    Reject,
    Ignore,
    /// stop the job
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuePolicy {
    Reject,
    /// store NULL (only where the column is Nullable; otherwise reject)
    Null,
}

/// What becomes of a TOAST placeholder: the source did not send the unchanged value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToastPolicy {
    #[default]
    Reject,
    /// store NULL (only where the column is Nullable; otherwise reject)
    Null,
    /// the value that the row had before, looked up in silver and in what is on its way there
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewColumnPolicy {
    Reject,
    Ignore,
    /// stop the job before a row lacks the value
    Stop,
    /// add a Nullable column to the table and go on; widen a column where that is exact
    Add,
}

impl NewColumnPolicy {
    /// Whether the table is to follow its source, or the job to stop where it cannot.
    pub fn watches_source(self) -> bool {
        matches!(self, NewColumnPolicy::Add | NewColumnPolicy::Stop)
    }
}

impl SilverJob {
    /// Whether the table has such a column, bullion's own aside.
    pub fn has_column(&self, name: &str) -> bool {
        let mut columns = self.columns.iter().map(|column| &column.name);
        columns.any(|column| column == name) || self.extras.iter().any(|extra| extra.name == name)
    }

    /// Whether a row may need the one before it.
    pub fn keeps(&self) -> bool {
        self.columns
            .iter()
            .any(|column| column.toast == ToastPolicy::Keep && !self.key.contains(&column.source))
    }
}

impl Default for Policies {
    /// Nothing is coerced in silence: what is doubtful is rejected, and stays in `ops.dead_letters`.
    fn default() -> Self {
        Policies {
            delete: DeletePolicy::Delete,
            truncate: TruncatePolicy::Reject,
            toast: ToastPolicy::Reject,
            out_of_range: ValuePolicy::Reject,
            new_column: NewColumnPolicy::Reject,
            missing_column: ValuePolicy::Reject,
            lookup_miss: LookupMiss::Reject,
        }
    }
}
