//! Deletes: by the Kafka key where there is one, else by the image before.

use super::super::fate::{Fate, Reason, Reject, Skip};
use super::super::image::Part;
use super::super::key;
use super::super::message::Message;
use super::super::open::close;
use super::super::walk::{Envelope, Source};
use super::{Decoder, as_key};
use crate::column::Rows;
use crate::job::DeletePolicy;

impl Decoder {
    pub(super) fn delete(
        &mut self,
        message: &Message<'_>,
        envelope: &Envelope<'_>,
        known: Option<usize>,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        if self.plan.job.policies.delete == DeletePolicy::Ignore {
            return Ok(Fate::Skip(Skip::DeleteIgnored));
        }
        if self.plan.job.key.is_empty() {
            return Err(Reason::UnkeyedDelete.into());
        }
        self.note_before(envelope, known, rows)?;
        rows.rollback();
        if !self.fill_from_key(message, rows)? {
            let Some(mut before) = envelope.before else {
                return Err(Reason::UnkeyedDelete.into());
            };
            let layout = &mut self.values.get(known).key;
            key::fill(
                layout,
                &self.plan,
                &mut before,
                rows.cells(),
                &mut self.progress,
            )?;
        }
        self.plan.fill_extras(message, rows);
        rows.commit(&self.origin(message, &envelope.source, true));
        self.keep_for_new_key(message, false, rows);
        Ok(Fate::Row)
    }

    /// A null value: a delete by key, where there is a key to delete by.
    pub(super) fn tombstone(
        &mut self,
        message: &Message<'_>,
        skip: Skip,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        // a null value does not say of which table it is; the delete before it does
        let ignored = self.plan.job.policies.delete == DeletePolicy::Ignore
            || !self.plan.job.tables.is_empty();
        if ignored || self.plan.job.key.is_empty() || !self.fill_from_key(message, rows)? {
            return Ok(Fate::Skip(skip));
        }
        self.plan.fill_extras(message, rows);
        rows.commit(&self.origin(message, &Source::default(), true));
        self.keep_for_new_key(message, true, rows);
        Ok(Fate::Row)
    }

    /// Whether the message has a key; its fields are then in their columns.
    pub(super) fn fill_from_key(
        &mut self,
        message: &Message<'_>,
        rows: &mut Rows,
    ) -> Result<bool, Reject> {
        let Some(bytes) = message.key else {
            return Ok(false);
        };
        let mut opened = self
            .keys
            .open(bytes, &self.plan, Part::Key)
            .map_err(as_key)?;
        let null = opened.payload.null().map_err(as_key)?;
        if !null {
            if opened.payload.peek() != Some(b'{') {
                return Err(Reason::BadKey.into());
            }
            let layout = &mut self.keys.get(opened.known).key;
            key::fill(
                layout,
                &self.plan,
                &mut opened.payload,
                rows.cells(),
                &mut self.progress,
            )
            .map_err(as_key)?;
        }
        close(&mut opened).map_err(as_key)?;
        Ok(!null)
    }
}
