//! The first record of a file: which cell is which column of the job.

use super::cell::Spelling;
use super::record::Cells;
use crate::error::{Error, Kind, Result};
use crate::fault::suggestion;
use crate::job::{Column, Format, NewColumnPolicy, NullPolicy, Shape, SilverJob};
use crate::snapshot::Odd;

/// What the cells of a file mean.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// the job in the spelling of what [`Layout::image`] writes
    pub(super) job: SilverJob,
    /// one for each cell of a record; nothing where the job leaves the column out
    cells: Vec<Option<Cell>>,
    /// `"name":null` of the columns that the file does not have
    absent: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Cell {
    /// `"name":`
    name: Vec<u8>,
    /// in the source
    column: String,
    spelling: Spelling,
}

impl Layout {
    /// All that is wrong with a header is told at once.
    pub(super) fn read(job: &SilverJob, header: &Cells) -> Result<Layout> {
        refuse_unfit(job)?;
        let mut faults = Vec::new();
        let mut cells: Vec<Option<Cell>> = Vec::new();
        let mut seen: Vec<&Column> = Vec::new();
        for name in header.iter() {
            let name = std::str::from_utf8(name.unwrap_or_default()).unwrap_or("\u{fffd}");
            let named = |column: &&Column| column.source == name || column.name == name;
            match job.columns.iter().find(named) {
                Some(column) if seen.contains(&column) => {
                    faults.push(format!("column `{name}` stands there twice"));
                }
                Some(column) => {
                    seen.push(column);
                    cells.push(Some(Cell {
                        name: quoted(&column.source),
                        column: column.source.clone(),
                        spelling: Spelling::of(column).0,
                    }));
                }
                None if job.exclude.iter().any(|excluded| excluded == name) => cells.push(None),
                None => {
                    let known = job.columns.iter().map(|column| column.source.as_str());
                    let near = suggestion(name, known);
                    faults.push(format!("the job has no column `{name}`{near}"));
                }
            }
        }
        let mut absent = Vec::new();
        for column in &job.columns {
            let may_be_null = column.kind.is_nullable() || column.null == NullPolicy::Empty;
            if seen.contains(&column) {
                continue;
            }
            if may_be_null && !job.key.contains(&column.source) {
                absent.push(b',');
                absent.extend(quoted(&column.source));
                absent.extend(b"null");
            } else {
                let name = &column.source;
                faults.push(format!("column `{name}` is missing, and cannot be NULL"));
            }
        }
        if faults.is_empty() {
            let job = as_read(job);
            return Ok(Layout { job, cells, absent });
        }
        let message = format!(
            "job {}: the first line of the file does not name its columns:\n  {}",
            job.name,
            faults.join("\n  ")
        );
        Err(Error::new(Kind::Usage, message)
            .advise("cells are between commas unless --delimiter says otherwise"))
    }

    pub(super) fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Appends the row's image as Debezium's envelope has it; the column that cannot be read.
    pub(super) fn image(&self, cells: &Cells, out: &mut Vec<u8>) -> Result<(), String> {
        let mut comma = b'{';
        for (cell, value) in self.cells.iter().zip(cells.iter()) {
            let Some(cell) = cell else { continue };
            out.push(comma);
            comma = b',';
            out.extend_from_slice(&cell.name);
            match value {
                None => out.extend_from_slice(b"null"),
                Some(value) => {
                    let written = cell.spelling.write(value, out);
                    written.map_err(|Odd| cell.column.clone())?;
                }
            }
        }
        out.extend_from_slice(&self.absent);
        out.push(b'}');
        Ok(())
    }
}

fn refuse_unfit(job: &SilverJob) -> Result<()> {
    let from_kafka = job.extras.iter().find(|extra| !extra.is_constant());
    let why = if job.key.is_empty() {
        "it has no key, so that a line could not be told from a row that is there".to_owned()
    } else if job.format.shape == Shape::Mongodb {
        "its rows are documents".to_owned()
    } else if let Some(extra) = from_kafka {
        let name = &extra.name;
        format!("column {name} is of the Kafka message, which a line has not")
    } else {
        return Ok(());
    };
    let message = format!("job {} cannot be filled from a CSV file: {why}", job.name);
    Err(Error::new(Kind::Mismatch, message))
}

fn as_read(job: &SilverJob) -> SilverJob {
    let mut read = SilverJob {
        format: Format::DEBEZIUM_JSON,
        flattened: None,
        tables: Vec::new(),
        ..job.clone()
    };
    read.policies.new_column = NewColumnPolicy::Ignore;
    for column in &mut read.columns {
        column.encoding = Spelling::of(column).1;
    }
    read
}

fn quoted(name: &str) -> Vec<u8> {
    format!("{}:", serde_json::Value::from(name)).into_bytes()
}
