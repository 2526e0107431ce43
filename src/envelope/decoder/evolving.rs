//! What the decoder knows of its source beyond the job, and notes when the source changes.

use std::collections::BTreeSet;

use super::super::drift::{self, Drift, Sources};
use super::super::fate::{Reason, Reject};
use super::super::message::Message;
use super::Decoder;

/// What the decoder knows of its source beyond the job, for jobs whose table follows it.
#[derive(Debug, Default)]
pub(super) struct Evolution {
    pub(super) sources: Sources,
    /// something was learnt since it was last asked for
    pub(super) learnt: bool,
    /// fields that were looked up and are what the job declares
    pub(super) settled: BTreeSet<String>,
    /// of the last rejected message
    pub(super) drift: Option<Box<Drift>>,
    /// columns that the last row has no field for
    pub(super) absent: Vec<usize>,
}

impl Decoder {
    /// What is known of the source already, from earlier runs.
    #[must_use]
    pub fn knowing(mut self, sources: Sources) -> Decoder {
        self.evolution.sources = sources;
        self
    }

    pub fn sources(&self) -> &Sources {
        &self.evolution.sources
    }

    /// Whether anything was learnt of the source since the last call.
    pub fn has_learnt(&mut self) -> bool {
        std::mem::take(&mut self.evolution.learnt)
    }

    /// The field was looked up: what it sends and cannot be read is the message's own fault.
    pub fn settle(&mut self, field: &str) {
        self.evolution.settled.insert(field.to_owned());
    }

    /// Why the message that was just rejected might become a row of another job: its source has changed.
    pub fn take_drift(&mut self) -> Option<Box<Drift>> {
        self.evolution.drift.take()
    }

    /// Columns of the row that was just made for which its message has no field.
    pub fn absent(&self) -> &[usize] {
        &self.evolution.absent
    }

    #[cold]
    pub(super) fn note_drift(&mut self, message: &Message<'_>, reject: &Reject) {
        let evolution = &mut self.evolution;
        if reject.reason != Reason::TypeChanged {
            let drift = drift::of(&self.plan, message, reject, &evolution.settled);
            evolution.drift = drift.map(Box::new);
        }
    }

    /// A schema that was not seen before is compared with what is known, before a row is read by it.
    #[cold]
    pub(super) fn judge(&mut self, known: Option<usize>) -> Result<(), Reject> {
        let shape = self.values.get(known);
        let fields = shape.unjudged.take().unwrap_or_default();
        let evolution = &mut self.evolution;
        let changed = drift::judge(&self.plan, &mut evolution.sources, &fields);
        evolution.learnt = true;
        let Some(first) = changed.first() else {
            return Ok(());
        };
        let column = Some(first.field.clone());
        shape.unjudged = Some(fields);
        evolution.drift = Some(Box::new(Drift {
            changed,
            ..Drift::default()
        }));
        Err(Reject {
            reason: Reason::TypeChanged,
            column,
        })
    }
}
