//! How the rows of a source table are asked for and read: the columns of a job, each as an SQL expression and the form
//! of its text. What arrives is what Debezium would have sent, so the job's own decoder decides what is stored.

use super::form::{Form, Odd};
use super::{mysql, postgres};
use crate::catalog::{SourceType, System, Table, TableName};
use crate::column::{KeyColumns, Type};
use crate::error::{Error, Kind, Result};
use crate::job::{Column, Encoding, Format, NewColumnPolicy, SilverJob, ToastPolicy};

/// A job's view of a source table.
pub struct Reading {
    /// the job with the columns that can be read, in the spelling that they are read in
    pub job: SilverJob,
    /// the same with nothing but its key, for rows that the job refuses
    pub key_job: SilverJob,
    pub key: KeyColumns,
    /// columns whose stored text depends on the connector and is not known here, so that they are not read or not compared
    pub left_out: Vec<LeftOut>,
    #[cfg_attr(
        not(feature = "mysql"),
        expect(dead_code, reason = "MySQL is asked for the table's engine")
    )]
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
    is_key: bool,
    pub(super) expression: String,
    form: Form,
}

pub(super) struct KeyPart {
    pub(super) column: String,
    /// its type as the source spells it, to ask for a key with
    pub(super) spelled: String,
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
            System::Postgres => postgres::identifier,
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
                kind => postgres::read(kind, column),
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
                is_key: job.key.contains(&column.source),
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
                    postgres::order(kind, &column.kind, &quoted),
                    postgres::is_bytes(kind),
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

    /// Appends the row's image as Debezium's envelope has it: `{"id":7,…}`.
    pub(super) fn image<'a>(
        &self,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Odd> {
        self.image_of(cells, |_| true, out)
    }

    /// The same of the key's columns alone, for a row that holds what no message can.
    pub(super) fn key_image<'a>(
        &self,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Odd> {
        self.image_of(cells, |cell| cell.is_key, out)
    }

    fn image_of<'a>(
        &self,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
        wanted: impl Fn(&Cell) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Odd> {
        let mut comma = b'{';
        let cells = self.cells.iter().zip(cells);
        for (cell, value) in cells.filter(|(cell, _)| wanted(cell)) {
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

    /// A column that PostgreSQL may store out of line, and whose policy makes NULL of what was not sent.
    pub fn can_be_unsent(&self, column: &str) -> bool {
        let declared = self.job.columns.iter().find(|one| one.name == column);
        declared.is_some_and(|one| one.toast == ToastPolicy::Null)
            && self.cell(column).is_some_and(|cell| cell.toastable)
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

pub(super) fn innermost(kind: &Type) -> &Type {
    match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) => innermost(inner),
        other => other,
    }
}
