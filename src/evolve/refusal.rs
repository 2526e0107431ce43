//! What a person is told where the table cannot follow its source by itself.

use super::record::State;
use super::resolve::Resolved;
use super::step::Step;
use crate::envelope::Changed;
use crate::error::{Error, Kind};
use crate::job::{Column, SilverJob};

pub(super) fn declare(job: &SilverJob, column: &Column) -> String {
    format!(
        "write into [columns] of jobs/silver/{}.toml: {}",
        job.name,
        column.line()
    )
}

/// `new_column = "stop"`: what a person has to write.
pub(super) fn stopped(job: &SilverJob, steps: &[Step]) -> Option<Error> {
    let lines: Vec<String> = steps.iter().map(|step| step.column.line()).collect();
    let first = steps.first()?;
    let names: Vec<String> = steps
        .iter()
        .map(|step| format!("`{}`", step.column.source))
        .collect();
    let message = format!(
        "job {}: the source of topic {} has changed: {} {} not what the job declares",
        job.name,
        job.topic,
        names.join(", "),
        if steps.len() == 1 { "is" } else { "are" }
    );
    let advice = match first.state {
        State::Widened => format!(
            "new_column = \"add\" in jobs/silver/{}.toml widens the column; its line is then {}",
            job.name,
            lines.join("  and  ")
        ),
        _ => format!(
            "write into [columns] of jobs/silver/{}.toml: {}  and run `bullion migrate`; or let ingest do it: \
             new_column = \"add\"",
            job.name,
            lines.join("  and  ")
        ),
    };
    Some(Error::new(Kind::Mismatch, message).advise(advice))
}

pub(super) fn conflict(job: &SilverJob, column: &Column, resolved: &Resolved) -> Error {
    let message = format!(
        "job {}: column {} was added as {} by another process, and here its source is {} ({})",
        job.name, column.name, column.kind, resolved.spelled, resolved.kind
    );
    Error::new(Kind::Mismatch, message).advise(
        "two types of one field in one topic: decide on one, and ALTER the table and the job file by hand",
    )
}

pub(super) fn type_changed(
    job: &SilverJob,
    column: &Column,
    change: &Changed,
    resolved: &Resolved,
) -> Error {
    let was = change.was.as_deref().unwrap_or("another type");
    let message = format!(
        "job {}: the source of column {} was {was} and is {} now, which a {} does not hold exactly",
        job.name, column.name, resolved.spelled, column.kind
    );
    Error::new(Kind::Mismatch, message).advise(format!(
        "nothing was written: leave the old column behind under another name (ALTER TABLE … RENAME COLUMN), and declare \
         the new type in jobs/silver/{}.toml, or build the table anew",
        job.name
    ))
}

pub(super) fn key_type_changed(job: &SilverJob, column: &Column, resolved: &Resolved) -> Error {
    let message = format!(
        "job {}: key column {} is a {}, and its source is {} now: key columns never change by themselves",
        job.name, column.name, column.kind, resolved.spelled
    );
    Error::new(Kind::Mismatch, message).advise(
        "the table is ordered by its key: declare the new type in the job, drop or rename the table, and build it anew",
    )
}

pub(super) fn key_changed(job: &SilverJob, fields: &[String]) -> Error {
    let message = format!(
        "job {}: the key of topic {} is ({}) now, and the job's is ({}): keys never change by themselves",
        job.name,
        job.topic,
        fields.join(", "),
        job.key.join(", ")
    );
    Error::new(Kind::Mismatch, message).advise(
        "rows of the old and the new key are different rows: correct `key`, drop or rename the table, and build it anew",
    )
}
