//! The shadow that was filled from Kafka, held against the old table: rows that Kafka's messages have not made again.

use std::collections::HashMap;

use super::{Anew, NotInKafka, Summary};
use crate::column::{Key, KeyColumns};
use crate::error::{Error, Kind, Result};
use crate::sink::dead_letters;
use crate::sink::shadows::Mark;
use crate::sink::stored::{Newest, Span, Stored};

/// Keys of a table that are looked at together.
const PAGE: usize = 50_000;
/// Keys of one copy.
const KEYS_AT_ONCE: usize = 500;

pub(super) struct Comparing<'a> {
    pub(super) anew: &'a Anew<'a>,
    pub(super) mark: &'a Mark,
    pub(super) asked: Option<NotInKafka>,
}

/// A row of silver of which the shadow has at most an older version.
struct Lacking {
    key: Key,
    newest: Newest,
    /// readers see the key in the shadow
    shown: bool,
}

impl Comparing<'_> {
    /// Both tables by key, a range of the shadow at a time.
    pub(super) async fn run(&self, summary: &mut Summary) -> Result<()> {
        let (clickhouse, tables) = (self.anew.clickhouse, self.anew.tables);
        let key = KeyColumns::of(self.anew.job);
        let live = Stored::new(clickhouse, tables.live(), &key, Vec::new());
        let shadow = Stored::new(clickhouse, tables.shadow(), &key, Vec::new());
        let mut after: Option<Key> = None;
        loop {
            self.anew.lease.check().await?;
            let span = Span::Range {
                after: after.as_ref(),
                to: None,
            };
            let made = shadow.first_newest(span, PAGE).await?;
            let to = match made.len() < PAGE {
                true => None,
                false => made.last().map(|(key, _)| key.clone()),
            };
            let made: HashMap<Key, Newest> = made.into_iter().collect();
            let mut from = after.clone();
            loop {
                let span = Span::Range {
                    after: from.as_ref(),
                    to: to.as_ref(),
                };
                let page = live.first_newest(span, PAGE).await?;
                let whole = page.len() < PAGE;
                from = page.last().map(|(key, _)| key.clone());
                let lacking = self.lacking(page, &made, summary);
                self.settle(&live, lacking, summary).await?;
                if whole {
                    break;
                }
            }
            if to.is_none() {
                return Ok(());
            }
            after = to;
        }
    }

    fn lacking(
        &self,
        page: Vec<(Key, Newest)>,
        made: &HashMap<Key, Newest>,
        summary: &mut Summary,
    ) -> Vec<Lacking> {
        let mut lacking = Vec::new();
        for (key, newest) in page {
            if self.mark.is_later(newest.partition, newest.version) {
                continue;
            }
            let made = made.get(&key);
            let shown = made.is_some_and(|made| !made.deleted);
            match made {
                Some(made) if made.version >= newest.version => {
                    summary.removed += u64::from(!newest.deleted && !shown);
                }
                _ => lacking.push(Lacking { key, newest, shown }),
            }
        }
        lacking
    }

    /// What the job rejects is kept as silver has it; what becomes of other rows was asked for.
    async fn settle(
        &self,
        live: &Stored<'_>,
        lacking: Vec<Lacking>,
        summary: &mut Summary,
    ) -> Result<()> {
        if lacking.is_empty() {
            return Ok(());
        }
        let Anew {
            clickhouse,
            job,
            config,
            tables,
            ..
        } = *self.anew;
        let at = |row: &Lacking| (row.newest.partition, row.newest.version);
        let versions: Vec<(i32, u64)> = lacking.iter().map(at).collect();
        let ops = &config.clickhouse.ops;
        let letters = dead_letters::with_letters(clickhouse, ops, &job.topic, &versions).await?;
        let (mut keep, mut unheard_of) = (Vec::new(), 0_u64);
        for row in lacking {
            let rejected = letters.contains(&at(&row));
            let seen = !row.newest.deleted;
            match self.asked {
                _ if rejected => {
                    summary.refused += u64::from(seen);
                    keep.push(row.key);
                }
                Some(NotInKafka::Drop) => summary.removed += u64::from(seen && !row.shown),
                Some(NotInKafka::Keep) => {
                    summary.kept += u64::from(seen);
                    keep.push(row.key);
                }
                // that a key is gone changes nothing where nobody sees it anyway
                None if seen => unheard_of += 1,
                None => keep.push(row.key),
            }
        }
        if unheard_of > 0 {
            let message = format!(
                "job {}: at least {unheard_of} rows of silver come from no message of topic {}, although it has the offsets \
                 that they name",
                job.name, job.topic
            );
            return Err(Error::new(Kind::Mismatch, message).advise(
                "`--not-in-kafka drop` is without them, `--not-in-kafka keep` leaves them as they are",
            ));
        }
        let columns = tables.columns().await?;
        for keys in keep.chunks(KEYS_AT_ONCE) {
            live.copy_versions(&tables.shadow(), &columns, keys).await?;
        }
        Ok(())
    }
}
