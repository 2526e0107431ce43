//! The time that a row had before, where every message tells it.

use super::super::fate::{Reason, Reject};
use super::super::walk::Envelope;
use super::Decoder;
use crate::column::{Data, Rows, seconds_of};
use crate::window::Bucket;

impl Decoder {
    /// Of an update or a delete. One that does not tell it is rejected: its window would stay as it is, and nobody would know.
    #[inline]
    pub(super) fn note_before(
        &mut self,
        envelope: &Envelope<'_>,
        known: Option<usize>,
        rows: &mut Rows,
    ) -> Result<(), Reject> {
        match self.plan.told_time {
            Some(column) => self.read_before(column, envelope, known, rows),
            None => Ok(()),
        }
    }

    fn read_before(
        &mut self,
        column: usize,
        envelope: &Envelope<'_>,
        known: Option<usize>,
        rows: &mut Rows,
    ) -> Result<(), Reject> {
        let missing = || self.plan.reject(Reason::MissingImage, column);
        let mut before = envelope.before.ok_or_else(missing)?;
        let Some(declared) = self.plan.job.columns.get(column) else {
            return Ok(());
        };
        let mut time = Data::new(&declared.kind);
        let layout = &mut self.values.get(known).time;
        let scratch = &mut self.progress.scratch;
        if !layout.read_one(&self.plan, &mut before, &mut time, scratch)? {
            return Err(self.plan.reject(Reason::MissingImage, column));
        }
        let seconds = time
            .cell(0)
            .and_then(|cell| seconds_of(&declared.kind, cell));
        rows.was_at(seconds.map_or(Bucket::NO_TIME, Bucket::of_seconds));
        Ok(())
    }
}
