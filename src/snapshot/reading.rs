//! How the rows of a source table are asked for and read: the columns of a job, each as an SQL expression and the form
//! of its text. What arrives is what Debezium would have sent, so the job's own decoder decides what is stored.

use super::form::{Form, Odd};
use super::mysql;
use crate::catalog::{SourceType, System, Table, TableName};
use crate::column::{Key, KeyColumns, Type};
use crate::error::{Error, Kind, Result};
use crate::job::{Column, Encoding, Format, NewColumnPolicy, SilverJob};

/// A job's view of a source table.
pub struct Reading {
    /// the job with the columns that can be read, in the spelling that they are read in
    pub job: SilverJob,
    /// the same with nothing but its key, for rows that the job refuses
    pub key_job: SilverJob,
    pub key: KeyColumns,
    /// columns whose stored text depends on the connector and is not known here, so that they are not read or not compared
    pub left_out: Vec<LeftOut>,
    pub(super) place: TableName,
    pub(super) table: String,
    pub(super) cells: Vec<Cell>,
    pub(super) key_parts: Vec<KeyPart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// name in silver
    pub column: String,
    pub why: &'static str,
    /// it can be written all the same
    pub readable: bool,
}

pub(super) struct Cell {
    /// `"name":`
    name: Vec<u8>,
    /// name in silver
    column: String,
    /// an UPDATE that leaves it alone may not send it
    toastable: bool,
    pub(super) expression: String,
    form: Form,
}

pub(super) struct KeyPart {
    pub(super) column: String,
    /// its type as the source spells it, to ask for a key with
    spelled: String,
    /// ascending by these is ascending in ClickHouse
    pub(super) order: Vec<String>,
    pub(super) asked_by: Asked,
}

/// What a key's value is when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Bytes,
    Text,
    Number,
}

impl Reading {
    pub fn new(job: &SilverJob, table: &Table) -> Result<Reading> {
        if job.key.is_empty() {
            let message = format!(
                "job {} has no key: its rows cannot be told apart, so silver cannot be held against the source",
                job.name
            );
            return Err(
                Error::new(Kind::Mismatch, message).advise("give the source table a primary key")
            );
        }
        let quote = match table.system {
            System::Postgres => identifier,
            System::Mysql => mysql::identifier,
        };
        let mut reading = Reading {
            job: as_envelope(job),
            key_job: as_envelope(job),
            key: KeyColumns::of(job),
            left_out: Vec::new(),
            place: table.name.clone(),
            table: format!(
                "{}{}.{} AS t",
                match table.system {
                    System::Postgres if !table.partitioned => "ONLY ",
                    _ => "",
                },
                quote(&table.name.schema),
                quote(&table.name.table)
            ),
            cells: Vec::new(),
            key_parts: Vec::new(),
        };
        let mut columns = Vec::new();
        for column in &job.columns {
            let leave = |why, readable| LeftOut {
                column: column.name.clone(),
                why,
                readable,
            };
            let Some(found) = table
                .columns
                .iter()
                .find(|found| found.name == column.source)
            else {
                reading
                    .left_out
                    .push(leave("the source has no such column", false));
                continue;
            };
            let read = match &found.kind {
                SourceType::Mysql(kind) => mysql::read(kind, found.nullable, column),
                kind => read(kind, column),
            };
            let Some(read) = read else {
                reading.left_out.push(leave(UNKNOWN_TEXT, false));
                continue;
            };
            let by_path = matches!(innermost(&column.kind), Type::Json).then_some(
                "ClickHouse keeps a JSON column by its paths, and gives back another text",
            );
            if let Some(why) = read.not_compared.or(by_path) {
                reading.left_out.push(leave(why, true));
            }
            let quoted = format!("t.{}", quote(&column.source));
            reading.cells.push(Cell {
                name: format!("{}:", serde_json::Value::from(column.source.as_str())).into_bytes(),
                column: column.name.clone(),
                toastable: found.toastable,
                expression: read.expression.replace("{}", &quoted),
                form: read.form,
            });
            columns.push(Column {
                encoding: read.encoding,
                ..column.clone()
            });
        }
        for extra in job.extras.iter().filter(|extra| !extra.is_constant()) {
            reading.left_out.push(LeftOut {
                column: extra.name.clone(),
                why: "it is of the Kafka message, which a row of the source has not",
                readable: false,
            });
        }
        for field in &job.key {
            let masked = |column: &&Column| {
                column.source == *field && (column.mask.is_some() || column.cast)
            };
            if job.columns.iter().any(|column| masked(&column)) {
                let message = format!(
                    "job {}: key column {field} is masked or cast, so its rows stand in another order than the source's",
                    job.name
                );
                return Err(Error::new(Kind::Mismatch, message));
            }
            let column = columns.iter().find(|column| column.source == *field);
            let found = table.columns.iter().find(|column| column.name == *field);
            let (Some(column), Some(found)) = (column, found) else {
                let message = format!(
                    "job {}: key column {field} cannot be read from {}",
                    job.name, table.name
                );
                return Err(Error::new(Kind::Mismatch, message));
            };
            let quoted = format!("t.{}", quote(field));
            let (order, is_bytes) = match &found.kind {
                SourceType::Mysql(kind) => (
                    mysql::order(kind, &column.kind, &quoted),
                    mysql::is_bytes(kind),
                ),
                kind => (
                    order(kind, &column.kind, &quoted),
                    is_named(kind, &["bytea"]),
                ),
            };
            reading.key_parts.push(KeyPart {
                column: quoted,
                spelled: found.spelled.clone(),
                order,
                asked_by: match innermost(&column.kind) {
                    _ if is_bytes => Asked::Bytes,
                    Type::String => Asked::Text,
                    _ => Asked::Number,
                },
            });
        }
        reading.job.columns = columns;
        reading.key_job.columns = reading.job.columns.clone();
        reading
            .key_job
            .columns
            .retain(|column| job.key.contains(&column.source));
        reading.key_job.policies.new_column = NewColumnPolicy::Ignore;
        Ok(reading)
    }

    /// Every row, or those of some of the table's pages, by key in ClickHouse's order.
    pub(super) fn copy(&self, percent: Option<u8>) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.expression.as_str())
            .collect();
        let order: Vec<&str> = self
            .key_parts
            .iter()
            .flat_map(|part| part.order.iter().map(String::as_str))
            .collect();
        let sample = percent.map_or_else(String::new, |percent| {
            format!(" TABLESAMPLE SYSTEM ({percent})")
        });
        format!(
            "COPY (SELECT {} FROM {}{sample} ORDER BY {}) TO STDOUT",
            cells.join(", "),
            self.table,
            order.join(", ")
        )
    }

    /// The rows of a part, in any order.
    pub(super) fn copy_part(&self, condition: &str) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.expression.as_str())
            .collect();
        format!(
            "COPY (SELECT {} FROM {} WHERE {condition}) TO STDOUT",
            cells.join(", "),
            self.table
        )
    }

    /// The table with its alias.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The rows of some keys, each value as the text that COPY writes; the parameters are an array of texts a key column.
    pub(super) fn lookup(&self) -> String {
        let cells: Vec<String> = self
            .cells
            .iter()
            .map(|cell| {
                let value = &cell.expression;
                // `::text` would cut the padding of char(n) and the length of inet
                format!("CASE WHEN {value} IS NOT NULL THEN format('%s', {value}) END")
            })
            .collect();
        let parameters: Vec<String> = (1..=self.key_parts.len())
            .map(|at| format!("${at}::text[]"))
            .collect();
        let names: Vec<String> = (0..self.key_parts.len())
            .map(|at| format!("k{at}"))
            .collect();
        let joined: Vec<String> = self
            .key_parts
            .iter()
            .enumerate()
            .map(|(at, part)| format!("{} = wanted.k{at}::{}", part.column, part.spelled))
            .collect();
        format!(
            "SELECT {} FROM {} JOIN unnest({}) AS wanted({}) ON {}",
            cells.join(", "),
            self.table,
            parameters.join(", "),
            names.join(", "),
            joined.join(" AND ")
        )
    }

    /// The lookup's parameters: for each key column the texts of all keys.
    pub(super) fn parameters(&self, keys: &[Key]) -> Vec<Vec<String>> {
        let mut columns = vec![Vec::with_capacity(keys.len()); self.key_parts.len()];
        for key in keys {
            let texts = self.key.texts(key);
            for (((column, text), part), bytes) in columns
                .iter_mut()
                .zip(texts)
                .zip(&self.key_parts)
                .zip(&key.0)
            {
                column.push(match part.asked_by {
                    Asked::Bytes => bytes
                        .iter()
                        .fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
                    Asked::Text | Asked::Number => text,
                });
            }
        }
        columns
    }

    /// Appends the row's image as Debezium's envelope has it: `{"id":7,…}`.
    pub(super) fn image<'a>(
        &self,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Odd> {
        let mut comma = b'{';
        for (cell, value) in self.cells.iter().zip(cells) {
            out.push(comma);
            comma = b',';
            out.extend_from_slice(&cell.name);
            match value {
                None => out.extend_from_slice(b"null"),
                Some(value) => cell.form.write(value, out)?,
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// A decimal of any scale: the connector decides whether zeros stand at its end.
    pub fn is_decimal(&self, column: &str) -> bool {
        self.cell(column).is_some_and(|cell| match &cell.form {
            Form::Array(element) => **element == Form::Decimal,
            form => *form == Form::Decimal,
        })
    }

    /// A column that PostgreSQL may store out of line.
    pub fn can_be_unsent(&self, column: &str) -> bool {
        self.cell(column).is_some_and(|cell| cell.toastable)
    }

    fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.column == column)
    }

    /// Places of the key's columns in a block of [`Reading::job`].
    pub fn key_places(&self, block: &crate::column::Block) -> Vec<usize> {
        self.key
            .iter()
            .filter_map(|(name, _)| block.place(name))
            .collect()
    }
}

/// Rows are read as Debezium's plain envelope, whatever the topic's messages are.
pub(crate) fn as_envelope(job: &SilverJob) -> SilverJob {
    SilverJob {
        format: Format::DEBEZIUM_JSON,
        flattened: None,
        ..job.clone()
    }
}

const UNKNOWN_TEXT: &str = "how the connector spells this type is not known here";

pub(super) struct Read {
    /// `{}` is the column
    pub(super) expression: &'static str,
    pub(super) form: Form,
    pub(super) encoding: Encoding,
    pub(super) not_compared: Option<&'static str>,
}

pub(super) const PLAIN: &str = "{}";
/// Every field, as Debezium's `interval.handling.mode=string` has it.
const INTERVAL: &str = "CASE WHEN {} IS NOT NULL THEN format('P%sY%sM%sDT%sH%sM%sS', extract(year FROM {}), extract(month FROM {}), \
extract(day FROM {}), extract(hour FROM {}), extract(minute FROM {}), trim_scale(extract(second FROM {}))) END";
const TIMETZ: &str = "({} AT TIME ZONE 'UTC')::time::text || 'Z'";
const MICROS: &str = "(extract(epoch FROM {}) * 1000000)::bigint";
const DAYS: &str = "({} - date '1970-01-01')";

/// How a column of this type is read for a column of the job; `None` where what Debezium sends cannot be known.
fn read(kind: &SourceType, column: &Column) -> Option<Read> {
    let target = innermost(&column.kind);
    let SourceType::Scalar {
        name,
        is_enum,
        modifier,
    } = kind
    else {
        return array(kind, column);
    };
    let keep = column.encoding;
    if *is_enum {
        return with(PLAIN, Form::Text, keep);
    }
    let is_text = matches!(target, Type::String);
    let is_time = is_time(target);
    let is_float = matches!(target, Type::Float32 | Type::Float64);
    let is_decimal = matches!(target, Type::Decimal { .. });
    let is_number = !is_text && !is_time && !is_float && !is_decimal;
    match name.as_str() {
        "int2" | "int4" | "int8" | "oid" => with(PLAIN, Form::Raw, keep),
        "float4" | "float8" => with(PLAIN, Form::Float, keep),
        "bool" => with(PLAIN, Form::Bool, keep),
        "numeric" if is_float => with(PLAIN, Form::Float, keep),
        "numeric" => with(PLAIN, Form::Decimal, Encoding::Plain),
        "money" => with("{}::numeric", Form::Decimal, Encoding::Plain),
        "text" | "varchar" | "bpchar" | "char" | "citext" | "xml" | "ltree" | "tsvector"
        | "uuid" | "json" | "jsonb" | "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range"
        | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => {
            with(PLAIN, Form::Text, keep)
        }
        "hstore" => Some(Read {
            expression: "hstore_to_json({})",
            form: Form::Text,
            encoding: keep,
            not_compared: Some("the order of its pairs is the connector's"),
        }),
        "interval" if is_text => with(INTERVAL, Form::Text, keep),
        "timetz" if is_text => with(TIMETZ, Form::Text, keep),
        "date" | "timestamp" | "timestamptz" | "time" if is_time => {
            with(PLAIN, Form::Iso, Encoding::Plain)
        }
        "date" if is_number => with(DAYS, Form::Raw, keep),
        "timestamp" | "time" if is_number => with(MICROS, Form::Raw, keep),
        "bytea" if keep == Encoding::Base64 => with(PLAIN, Form::Base64, keep),
        "bit" if *modifier == 1 => with(PLAIN, Form::Bool, keep),
        "bit" | "varbit" if keep == Encoding::Base64 => with(PLAIN, Form::Bits, keep),
        "vector" | "halfvec" => with(PLAIN, Form::Raw, keep),
        _ => None,
    }
}

pub(super) fn with(expression: &'static str, form: Form, encoding: Encoding) -> Option<Read> {
    Some(Read {
        expression,
        form,
        encoding,
        not_compared: None,
    })
}

pub(super) fn is_time(target: &Type) -> bool {
    matches!(
        target,
        Type::Date
            | Type::Date32
            | Type::DateTime { .. }
            | Type::DateTime64 { .. }
            | Type::Time64 { .. }
    )
}

fn array(kind: &SourceType, column: &Column) -> Option<Read> {
    let SourceType::Array(element) = kind else {
        return None;
    };
    let SourceType::Scalar { name, .. } = &**element else {
        return None;
    };
    let as_array = matches!(column.kind, Type::Array(_));
    let element_column = match &column.kind {
        Type::Array(inner) => Column {
            kind: (**inner).clone(),
            ..column.clone()
        },
        _ => column.clone(),
    };
    // an array kept as its JSON text is compared where every connector writes the same text
    let same_text = matches!(
        name.as_str(),
        "int2" | "int4" | "int8" | "text" | "varchar" | "bool" | "uuid"
    );
    let as_text = same_text && column.encoding == Encoding::Json;
    if !as_array && !as_text {
        return None;
    }
    let read = read(element, &element_column)?;
    (read.expression == PLAIN && read.not_compared.is_none()).then(|| Read {
        form: Form::Array(Box::new(read.form)),
        encoding: if as_array {
            read.encoding
        } else {
            Encoding::Json
        },
        ..read
    })
}

pub(super) fn innermost(kind: &Type) -> &Type {
    match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) => innermost(inner),
        other => other,
    }
}

fn is_named(kind: &SourceType, names: &[&str]) -> bool {
    matches!(kind, SourceType::Scalar { name, .. } if names.contains(&name.as_str()))
}

/// Expressions whose order in PostgreSQL is ClickHouse's order of the column.
fn order(kind: &SourceType, target: &Type, column: &str) -> Vec<String> {
    match innermost(target) {
        // its second half first
        Type::Uuid => [9, 1]
            .map(|from| format!("substring(uuid_send({column}) from {from} for 8)"))
            .to_vec(),
        Type::String if is_named(kind, &["text", "varchar"]) => {
            vec![format!("{column} COLLATE \"C\"")]
        }
        Type::String if !is_named(kind, &["bytea"]) => {
            vec![format!("format('%s', {column}) COLLATE \"C\"")]
        }
        _ => vec![column.to_owned()],
    }
}

/// Quotes an identifier for PostgreSQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
