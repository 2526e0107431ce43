//! The live table and its shadow: made, swapped, and what was written meanwhile carried over.
//!
//! A check of the lease is no fence: a process may be stopped between it and the swap. So a shadow is named by its holder's
//! token, and a new holder renames what older ones have left before it looks at it: a late EXCHANGE or DROP then misses its
//! table.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::of_table;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::lease::Lease;
use crate::migrate::silver::qualified;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::sink::shadows::{Mark, Shadows, shadow_name};
use crate::sink::touches::Touches;

const POLL: Duration = Duration::from_millis(50);
/// Clocks of a server and of us run at different speeds, and an answer takes time.
const MARGIN: f64 = 1.0;

/// Names of the old table's parts that were copied.
pub(super) type Parts = BTreeSet<String>;

pub(super) struct Tables<'a> {
    clickhouse: &'a ClickHouse,
    database: &'a str,
    name: String,
    shadow: String,
    lease: &'a Lease,
    touches: Touches,
}

/// The table that was swapped out.
pub(super) struct Old {
    name: String,
    /// of the table in its place
    mark: Mark,
}

impl<'a> Tables<'a> {
    pub(super) fn new(
        clickhouse: &'a ClickHouse,
        database: &'a str,
        name: &str,
        lease: &'a Lease,
        touches: Touches,
    ) -> Tables<'a> {
        Tables {
            clickhouse,
            database,
            name: name.to_owned(),
            shadow: shadow_name(name, lease.token()),
            lease,
            touches,
        }
    }

    pub(super) fn shadow_name(&self) -> &str {
        &self.shadow
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// That readers see.
    pub(super) async fn rows(&self) -> Result<u64> {
        let sql = format!("SELECT count() FROM {} FINAL", self.live());
        self.clickhouse.one(&sql).await
    }

    pub(super) fn live(&self) -> String {
        qualified(self.database, &self.name)
    }

    pub(super) fn shadow(&self) -> String {
        qualified(self.database, &self.shadow)
    }

    /// What an earlier run had swapped out when it was cut short.
    pub(super) async fn swapped_out(&self) -> Result<Option<Old>> {
        let shadows = self.shadows().await?;
        let Some(old) = shadows.swapped_out().next() else {
            return Ok(None);
        };
        let Some(mark) = shadows.mark.clone() else {
            let message = format!(
                "table {} has rows of {}, and neither says in its comment that resync built it",
                qualified(self.database, &old.name),
                self.live()
            );
            return Err(Error::new(Kind::Mismatch, message).advise(
                "somebody has changed the comment of one of them: compare their rows, and drop the one that is not needed",
            ));
        };
        Ok(Some(Old {
            name: old.name.clone(),
            mark,
        }))
    }

    /// The same, after nobody with an older token can touch it any more; what was not swapped in is dropped.
    pub(super) async fn take_over(&self) -> Result<Option<Old>> {
        let older = self.shadows().await?;
        let older = older.beside().iter();
        for (at, left) in older
            .filter(|left| left.holder < self.lease.token())
            .enumerate()
        {
            let sql = format!(
                "RENAME TABLE {} TO {}",
                qualified(self.database, &left.name),
                qualified(self.database, &format!("{}_{at}", self.shadow))
            );
            match self.clickhouse.execute(&sql).await {
                // it was dropped meanwhile
                Err(error) if error.kind() == Kind::NotFound => {}
                renamed => renamed?,
            }
        }
        // nobody else swaps or drops these
        for unswapped in self.shadows().await?.unswapped() {
            if unswapped.holder == self.lease.token() {
                self.drop_table(&unswapped.name).await?;
            }
        }
        self.swapped_out().await
    }

    async fn shadows(&self) -> Result<Shadows> {
        Shadows::look(self.clickhouse, self.database, &self.name).await
    }

    /// An empty table like the live one.
    pub(super) async fn create_shadow(&self, mark: &Mark) -> Result<()> {
        let sql = format!(
            "CREATE TABLE {} AS {} COMMENT {}",
            self.shadow(),
            self.live(),
            literal(&mark.comment(self.lease.token()))
        );
        self.clickhouse.execute(&sql).await
    }

    pub(super) async fn drop_shadow(&self) -> Result<()> {
        self.drop_table(&self.shadow).await
    }

    async fn drop_table(&self, name: &str) -> Result<()> {
        let table = qualified(self.database, name);
        let sql = format!("DROP TABLE IF EXISTS {table} SYNC");
        self.clickhouse.execute(&sql).await
    }

    /// The shadow's columns, for an INSERT and its SELECT: the live table may get more.
    pub(super) async fn columns(&self) -> Result<String> {
        self.columns_of(&self.shadow).await
    }

    async fn columns_of(&self, table: &str) -> Result<String> {
        let sql = format!(
            "SELECT name FROM system.columns WHERE {} ORDER BY position",
            of_table(self.database, "table", table)
        );
        let names = self.clickhouse.all::<String>(&sql).await?;
        let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
        Ok(names.join(", "))
    }

    /// Carries over what belongs into the new table as it is, of parts that were not there the last time.
    pub(super) async fn carry(&self, mark: &Mark, seen: &mut Parts) -> Result<u64> {
        let columns = self.columns().await?;
        self.copy([&self.name, &self.shadow], &columns, mark, seen)
            .await
    }

    /// Whoever moves a row of the new table right after the swap has to find where it was. What is carried over after this was
    /// told by whoever wrote it.
    pub(super) async fn enter_times(&self) -> Result<()> {
        self.touches.enter_table(&self.shadow()).await
    }

    /// Carries over what ingest has written so far, and swaps: from then on it writes into the new table. Nobody may change
    /// columns meanwhile.
    pub(super) async fn swap(
        &self,
        mark: Mark,
        seen: &mut Parts,
        columns: &Lease,
    ) -> Result<(u64, Old)> {
        let mut copied = 0;
        // the last one is short, so that a reader who looks at the moment of the swap misses little
        for _ in 0..2 {
            copied += self.carry(&mark, seen).await?;
        }
        let types = format!(
            "SELECT count() FROM (SELECT name, type FROM system.columns WHERE {0} \
             EXCEPT SELECT name, type FROM system.columns WHERE {1})",
            of_table(self.database, "table", &self.name),
            of_table(self.database, "table", &self.shadow)
        );
        if self.clickhouse.one::<u64>(&types).await? > 0 {
            let message = format!("table {} got other columns meanwhile", self.live());
            return Err(Error::new(Kind::Busy, message).advise("run the same command again"));
        }
        columns.check().await?;
        self.lease.check().await?;
        failpoint::pass(Point::ResyncChecked).await;
        let exchange = format!("EXCHANGE TABLES {} AND {}", self.live(), self.shadow());
        self.unless_taken_over(self.clickhouse.execute(&exchange).await)
            .await?;
        failpoint::pass(Point::ResyncSwapped).await;
        let name = self.shadow.clone();
        Ok((copied, Old { name, mark }))
    }

    /// Carries over the rest of the old table, and drops it. Its parts have the names that they had before.
    pub(super) async fn finish(&self, old: &Old, seen: &mut Parts, columns: Lease) -> Result<u64> {
        let rest = self.rest(old, seen, columns).await;
        let copied = self.unless_taken_over(rest).await?;
        self.lease.check().await?;
        failpoint::pass(Point::ResyncDropping).await;
        self.drop_table(&old.name).await?;
        failpoint::pass(Point::ResyncDropped).await;
        Ok(copied)
    }

    async fn rest(&self, old: &Old, seen: &mut Parts, lease: Lease) -> Result<u64> {
        let began = Instant::now();
        let tables = [&old.name, &self.name];
        let columns = self.columns_of(&old.name).await?;
        let mut copied = self.copy(tables, &columns, &old.mark, seen).await?;
        // an insert that began before the swap writes into the old table until it ends
        self.wait_for_inserts(began).await?;
        copied += self.copy(tables, &columns, &old.mark, seen).await?;
        // what follows reads whole tables, and a job whose source has got a column waits for this
        lease.release().await;
        failpoint::pass(Point::ResyncCopied).await;
        // what ingest wrote into the old table was told before readers saw it in the new one
        self.touches.enter_table(&self.live()).await?;
        let both = [self.live(), qualified(self.database, &old.name)];
        self.touches.touch_tables(&both).await?;
        Ok(copied)
    }

    /// Whoever took over has renamed the table that was missed: that is what is told.
    async fn unless_taken_over<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.lease.check().await?;
        }
        done
    }

    /// Until none runs that began before `began`.
    async fn wait_for_inserts(&self, began: Instant) -> Result<()> {
        loop {
            let sql = format!(
                "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND position(query, {}) > 0 AND elapsed > {}",
                literal(&self.name),
                began.elapsed().as_secs_f64() - MARGIN
            );
            if began.elapsed().as_secs_f64() > MARGIN
                && self.clickhouse.one::<u64>(&sql).await? == 0
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Copied twice, they are the same rows.
    async fn copy(
        &self,
        [from, to]: [&String; 2],
        columns: &str,
        mark: &Mark,
        seen: &mut Parts,
    ) -> Result<u64> {
        let sql = format!(
            "SELECT name FROM system.parts WHERE active AND {}",
            of_table(self.database, "table", from)
        );
        // those that are listed before the copy are wholly in it, merged or not
        let parts = self.clickhouse.all::<String>(&sql).await?;
        let known: Vec<String> = seen.iter().map(|part| literal(part)).collect();
        let fresh = match known.is_empty() {
            true => String::new(),
            false => format!(" AND _part NOT IN ({})", known.join(", ")),
        };
        let rows = format!(
            "FROM {} WHERE {}{fresh}",
            qualified(self.database, from),
            mark.carried()
        );
        let count = format!("SELECT count() {rows}");
        let count: u64 = self
            .clickhouse
            .all_long::<u64>(&count)
            .await?
            .into_iter()
            .sum();
        if count > 0 {
            let to = qualified(self.database, to);
            self.clickhouse.copy(&to, columns, &rows).await?;
        }
        seen.extend(parts);
        Ok(count)
    }
}
