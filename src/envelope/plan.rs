//! A job as the readers of images see it: its columns by their places.

use super::fate::{Reason, Reject};
use crate::job::{Column, EarlierTime, SilverJob, ToastPolicy};

/// What a layout needs to know of the job, in the order of its columns.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) job: SilverJob,
    /// place of each column in the job's key
    pub(super) key_place: Vec<Option<usize>>,
    /// columns whose unsent values are kept
    pub(super) kept: Vec<usize>,
    /// the time column, where messages tell the time that a row had before
    pub(super) told_time: Option<usize>,
}

impl Plan {
    pub(super) fn new(job: &SilverJob) -> Plan {
        let place = |source: &String| job.key.iter().position(|key| key == source);
        let kept = |(at, column): (usize, &Column)| {
            let kept = column.toast == ToastPolicy::Keep && place(&column.source).is_none();
            kept.then_some(at)
        };
        let told = job.earlier_time() == Some(EarlierTime::Told);
        let time = job.time_column.as_ref().filter(|_| told);
        let is_time = |column: &Column| Some(&column.name) == time;
        Plan {
            told_time: job.columns.iter().position(is_time),
            kept: job.columns.iter().enumerate().filter_map(kept).collect(),
            key_place: job
                .columns
                .iter()
                .map(|column| place(&column.source))
                .collect(),
            job: job.clone(),
        }
    }

    /// Columns of the key, in its order.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = usize> {
        let place = |field: &String| {
            let mut columns = self.job.columns.iter();
            columns.position(|column| column.source == *field)
        };
        self.job.key.iter().filter_map(place)
    }

    pub(super) fn is_key(&self, column: usize) -> bool {
        self.key_place.get(column).copied().flatten().is_some()
    }

    pub(super) fn reject(&self, reason: Reason, column: usize) -> Reject {
        let column = self.job.columns.get(column);
        Reject {
            reason,
            column: column.map(|column| column.source.clone()),
        }
    }
}
