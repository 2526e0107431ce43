//! Values that a message does not hold: TOAST placeholders, columns without a field, and what a row takes to a new key.

use super::super::fate::{Reason, Reject};
use super::super::image::Part;
use super::super::key;
use super::super::message::Message;
use super::super::open::close;
use super::super::progress::Progress;
use super::Decoder;
use crate::column::{Data, Doubt, Rows};
use crate::job::{ToastPolicy, ValuePolicy};

/// Headers of a change of key: on the delete of the old one, and on the create of the new one.
const NEW_KEY: &str = "__debezium.newkey";
const OLD_KEY: &str = "__debezium.oldkey";
/// Every change has it since Debezium 3: headers reach us.
const CONTEXT: &str = "__debezium.context.connectorName";

impl Decoder {
    /// The policy for columns that an update did not send; what is kept is the row's doubt.
    ///
    /// Debezium makes a change of key a delete and a create, and says on the create which key the row had: only there
    /// the text may stand for a value. Where headers arrive and that one does not, somebody has typed it.
    #[cold]
    pub(super) fn settle_placeholders(
        &mut self,
        op: &[u8],
        message: &Message<'_>,
        rows: &mut Rows,
    ) -> Result<Option<Doubt>, Reject> {
        let moved_from = (op == b"c")
            .then(|| message.headers.find(OLD_KEY))
            .flatten();
        if op == b"c" && moved_from.is_none() && message.headers.find(CONTEXT).is_some() {
            let text = |doubt: &(usize, Reason)| doubt.1 == Reason::ToastPlaceholder;
            self.typed += self
                .progress
                .doubtful
                .iter()
                .filter(|doubt| text(doubt))
                .count() as u64;
            // in a column of another type it is no value
            self.progress.doubtful.retain(|doubt| !text(doubt));
            return Ok(None);
        }
        let last = rows.len();
        let mut columns = Vec::new();
        for (column, _) in std::mem::take(&mut self.progress.doubtful) {
            let declared = self.plan.job.columns.get(column);
            let nullable = declared.is_some_and(|column| column.kind.is_nullable());
            let known = op == b"u" || moved_from.is_some();
            match declared.map(|column| column.toast) {
                Some(ToastPolicy::Keep) if known => columns.push(column),
                Some(ToastPolicy::Null) if nullable => {}
                _ => return Err(self.plan.reject(Reason::ToastPlaceholder, column)),
            }
            if let Some(data) = rows.cells().get_mut(column) {
                data.truncate(last);
                data.put_default();
            }
        }
        let Some(first) = columns.first().copied() else {
            return Ok(None);
        };
        let moved_from = match moved_from {
            Some(key) => Some(
                self.old_key(&key)
                    .map_err(|_| self.plan.reject(Reason::ToastPlaceholder, first))?,
            ),
            None => None,
        };
        Ok(Some(Doubt {
            row: last,
            columns,
            moved_from,
        }))
    }

    /// The key's cells in the order of the job's key, from the header of a change of key.
    pub(super) fn old_key(&mut self, header: &[u8]) -> Result<Vec<Data>, Reject> {
        let mut opened = self.keys.open(header, &self.plan, Part::Key)?;
        let columns = self.plan.job.columns.iter();
        let mut cells: Vec<Data> = columns.map(|column| Data::new(&column.kind)).collect();
        let layout = &mut self.keys.get(opened.known).key;
        let mut progress = Progress::default();
        key::fill(
            layout,
            &self.plan,
            &mut opened.payload,
            &mut cells,
            &mut progress,
        )?;
        close(&mut opened)?;
        let places = self.plan.key_columns();
        Ok(places.filter_map(|at| cells.get(at).cloned()).collect())
    }

    /// A row that moves to another key takes along what its create will not say: it stays at the deleted row.
    pub(super) fn keep_for_new_key(&self, message: &Message<'_>, tombstone: bool, rows: &mut Rows) {
        if self.plan.kept.is_empty() || message.headers.find(NEW_KEY).is_none() {
            return;
        }
        let mut columns = self.plan.kept.clone();
        if tombstone {
            // whose delete this is stands in the message before
            columns.extend(rows.source_columns());
        }
        rows.doubt(Doubt {
            row: rows.len().saturating_sub(1),
            columns,
            moved_from: None,
        });
    }

    /// The job's policy for columns that the row image lacks; a column that ingest has added was not there before.
    #[cold]
    pub(super) fn settle_absent(&mut self, rows: &mut Rows) -> Result<(), Reject> {
        let policy = self.plan.job.policies.missing_column;
        for (column, declared) in self.plan.job.columns.iter().enumerate() {
            if self.progress.is_filled(column) {
                continue;
            }
            let null = declared.added.is_some() || policy == ValuePolicy::Null;
            if !null || !declared.kind.is_nullable() {
                return Err(self.plan.reject(Reason::MissingColumn, column));
            }
            if let Some(data) = rows.cells().get_mut(column) {
                data.put_default();
            }
            self.evolution.absent.push(column);
        }
        Ok(())
    }
}
