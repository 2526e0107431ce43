//! `ops.columns`: what was seen of a source's columns, and what was done about it. For people, and for the next start,
//! which must recognise a type that has changed meanwhile; how messages are decoded never rests on it.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::envelope::Sources;
use crate::error::Result;
use crate::job::{Column, SilverJob};
use crate::migrate::evolved;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// What happened to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// the embedded schema told its type
    Seen,
    Added,
    Widened,
    /// messages came that lack the field
    Missing,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Seen => "seen",
            State::Added => "added",
            State::Widened => "widened",
            State::Missing => "missing",
        }
    }
}

/// One line of `ops.columns`.
#[derive(Clone, Debug, Row, Serialize, Deserialize)]
pub struct Event {
    job: String,
    field: String,
    state: String,
    column: String,
    r#type: String,
    encoding: String,
    source_type: String,
    since: Option<i64>,
    at: i64,
}

impl Event {
    pub fn new(job: &SilverJob, state: State, column: &Column, source_type: &str) -> Event {
        Event {
            job: job.name.clone(),
            field: column.source.clone(),
            state: state.as_str().to_owned(),
            column: column.name.clone(),
            r#type: column.kind.to_string(),
            encoding: column.encoding.as_str().to_owned(),
            source_type: source_type.to_owned(),
            since: column.added.and_then(|added| added.since),
            at: chrono::Utc::now().timestamp_millis(),
        }
    }
}

pub async fn write(clickhouse: &ClickHouse, ops: &str, events: &[Event]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    clickhouse.insert_rows(&table(ops), events).await
}

/// Field → the schema's latest words for its type. What was added or widened may stand in the words of the source database,
/// which no schema repeats: who died between that line and the next that was seen would take the schema for another one.
pub async fn sources(clickhouse: &ClickHouse, ops: &str, job: &SilverJob) -> Result<Sources> {
    let sql = format!(
        "SELECT field, argMax(source_type, at) AS source_type FROM {} AS columns \
         WHERE job = {} AND state = 'seen' AND columns.source_type != '' GROUP BY field",
        table(ops),
        literal(&job.name)
    );
    let known = clickhouse.all::<Source>(&sql).await?;
    let pair = |source: Source| (source.field, source.source_type);
    Ok(known.into_iter().map(pair).collect())
}

#[derive(Row, Deserialize)]
struct Source {
    field: String,
    source_type: String,
}

/// What the table says of itself and `ops.columns` does not: a process died between the two.
pub async fn catch_up(
    clickhouse: &ClickHouse,
    ops: &str,
    declared: &SilverJob,
    decoded: &SilverJob,
) -> Result<()> {
    let undeclared = evolved::undeclared(declared, decoded);
    if undeclared.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT field, type AS source_type FROM {} WHERE job = {} AND state IN ('added', 'widened')",
        table(ops),
        literal(&declared.name)
    );
    let known = clickhouse.all::<Source>(&sql).await?;
    let is_new = |column: &&&Column| {
        let kind = column.kind.to_string();
        !known
            .iter()
            .any(|event| event.field == column.source && event.source_type == kind)
    };
    let event = |column: &&Column| {
        let state = match column.added {
            Some(_) => State::Added,
            None => State::Widened,
        };
        Event::new(decoded, state, column, "")
    };
    let events: Vec<Event> = undeclared.iter().filter(is_new).map(event).collect();
    write(clickhouse, ops, &events).await
}

/// Everything that is known now, as events.
pub fn seen(job: &SilverJob, sources: &Sources) -> Vec<Event> {
    let event = |column: &Column| {
        let source = sources.get(&column.source)?;
        Some(Event::new(job, State::Seen, column, source))
    };
    job.columns.iter().filter_map(event).collect()
}

fn table(ops: &str) -> String {
    format!("{}.columns", quote(ops))
}
