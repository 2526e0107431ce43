//! Which changes of the table a drift asks for, and whether the table is then what was wanted.

use super::record::State;
use super::refusal::{conflict, declare, key_type_changed, type_changed};
use super::resolve::{Catalog, Resolved, as_text};
use crate::column::Type;
use crate::envelope::{Changed, Drift, Field, Sources};
use crate::error::{Error, Kind, Result};
use crate::job::{Added, Column, NullPolicy, SYSTEM_COLUMNS, SilverJob};

/// One change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) state: State,
    /// as it is to be
    pub(super) column: Column,
    pub(super) resolved: Resolved,
}

impl Step {
    fn widened(column: &Column, kind: Type, resolved: Resolved) -> Step {
        Step {
            state: State::Widened,
            column: Column {
                kind,
                ..column.clone()
            },
            resolved,
        }
    }

    pub(super) fn what(&self) -> String {
        let (name, kind) = (&self.column.name, &self.column.kind);
        match (self.state, self.resolved.told) {
            (State::Widened, _) => format!("column {name} widened to {kind}"),
            (_, true) => format!("column {name} added as {kind}"),
            (_, false) => format!(
                "column {name} added as {kind}, the text of its values, since nothing tells its type"
            ),
        }
    }
}

/// What is to be done to the table; an error where the source has gone where the table cannot follow exactly.
pub(super) fn steps(job: &SilverJob, drift: &Drift, catalog: &Catalog) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for field in &drift.added {
        steps.extend(add(job, drift, field, catalog)?);
    }
    for change in &drift.changed {
        steps.extend(widen(job, change, catalog)?);
    }
    Ok(steps)
}

fn add(job: &SilverJob, drift: &Drift, field: &Field, catalog: &Catalog) -> Result<Option<Step>> {
    let resolved = match &field.source {
        Some(source) => Resolved::told_by(source),
        None => catalog.field(&field.name).cloned().unwrap_or_else(as_text),
    };
    if let Some(column) = job.columns.iter().find(|c| c.source == field.name) {
        // the other process's choice holds where it can
        return match column.kind.widened(&resolved.kind) {
            _ if !resolved.told => Ok(None),
            Some(wider) if wider == column.kind => Ok(None),
            Some(kind) => Ok(Some(Step::widened(column, kind, resolved))),
            None => Err(conflict(job, column, &resolved)),
        };
    }
    let taken = SYSTEM_COLUMNS.iter().any(|(name, _)| *name == field.name);
    let name = match taken {
        true => format!("source{}", field.name),
        false => field.name.clone(),
    };
    if name.is_empty() || job.has_column(&name) {
        let message = format!(
            "job {}: the source has a new field `{}`, and its column `{name}` exists already",
            job.name, field.name
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "give it another `name` in jobs/silver/{}.toml, or put it into `exclude`",
            job.name
        )));
    }
    let kind = resolved
        .kind
        .nullable()
        .unwrap_or_else(|| resolved.kind.clone());
    Ok(Some(Step {
        state: State::Added,
        column: Column {
            source: field.name.clone(),
            name,
            kind,
            encoding: resolved.encoding,
            null: NullPolicy::default(),
            toast: job.policies.toast,
            cast: false,
            mask: None,
            added: Some(Added { since: drift.since }),
        },
        resolved,
    }))
}

fn widen(job: &SilverJob, change: &Changed, catalog: &Catalog) -> Result<Option<Step>> {
    let Some(column) = job.columns.iter().find(|c| c.source == change.field) else {
        return Ok(None);
    };
    let (resolved, kind) = match &change.source {
        Some(source) => (
            Resolved::told_by(source),
            match source.fits(column) {
                true => Some(column.kind.clone()),
                false => column.kind.widened(&source.kind),
            }
            .and_then(|kind| match source.optional {
                true => kind.nullable(),
                false => Some(kind),
            }),
        ),
        None => match catalog.field(&change.field) {
            Some(resolved) => (resolved.clone(), {
                let wider = column.kind.widened(&resolved.kind);
                // no schema has said that the type changed: what does not fit is the message's own fault
                Some(wider.unwrap_or_else(|| column.kind.clone()))
            }),
            None => return Ok(None),
        },
    };
    match kind {
        Some(kind) if kind == column.kind => Ok(None),
        _ if job.key.contains(&column.source) => Err(key_type_changed(job, column, &resolved)),
        Some(kind) => Ok(Some(Step::widened(column, kind, resolved))),
        None => Err(type_changed(job, column, change, &resolved)),
    }
}

/// What the schema said of the fields that are settled now.
pub(super) fn told(drift: &Drift) -> Sources {
    let added = drift
        .added
        .iter()
        .filter_map(|field| Some((&field.name, field.source.as_ref()?)));
    let changed = drift
        .changed
        .iter()
        .filter_map(|change| Some((&change.field, change.source.as_ref()?)));
    added
        .chain(changed)
        .map(|(name, source)| (name.clone(), source.spelled.clone()))
        .collect()
}

/// After the ALTER the table must say what we wanted of it; a column that somebody made by hand does not.
pub(super) fn check(job: &SilverJob, steps: &[Step]) -> Result<()> {
    for step in steps {
        let wanted = &step.column;
        match job.columns.iter().find(|c| c.source == wanted.source) {
            Some(found) if found.kind.holds(&wanted.kind) => {}
            Some(found) => return Err(conflict(job, found, &step.resolved)),
            None => {
                let message = format!(
                    "job {}: the table has a column `{}` that its job does not declare",
                    job.name, wanted.name
                );
                return Err(Error::new(Kind::Mismatch, message).advise(declare(job, wanted)));
            }
        }
    }
    Ok(())
}
