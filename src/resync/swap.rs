//! The live table and its shadow: made, swapped, and what was written meanwhile carried over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::mark::Mark;
use super::of_table;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::migrate::silver::qualified;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
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
    touches: Touches,
}

impl<'a> Tables<'a> {
    pub(super) fn new(
        clickhouse: &'a ClickHouse,
        database: &'a str,
        name: &str,
        touches: Touches,
    ) -> Tables<'a> {
        Tables {
            clickhouse,
            database,
            name: name.to_owned(),
            shadow: format!("{name}_shadow"),
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

    /// What the live table's comment says of an earlier run that had swapped it in.
    pub(super) async fn mark(&self) -> Result<Option<Mark>> {
        let sql = format!(
            "SELECT comment FROM system.tables WHERE {}",
            of_table(self.database, "name", &self.name)
        );
        let comments = self.clickhouse.all::<String>(&sql).await?;
        Ok(comments.first().and_then(|comment| Mark::parse(comment)))
    }

    /// An empty table like the live one; what an earlier run left unswapped is dropped first.
    pub(super) async fn create_shadow(&self, mark: &Mark) -> Result<()> {
        self.drop_shadow().await?;
        let sql = format!(
            "CREATE TABLE {} AS {} COMMENT {}",
            self.shadow(),
            self.live(),
            literal(&mark.comment())
        );
        self.clickhouse.execute(&sql).await
    }

    pub(super) async fn drop_shadow(&self) -> Result<()> {
        let sql = format!("DROP TABLE IF EXISTS {} SYNC", self.shadow());
        self.clickhouse.execute(&sql).await
    }

    /// The live table's columns, for an INSERT and its SELECT.
    pub(super) async fn columns(&self) -> Result<String> {
        self.columns_of(&self.name).await
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
        self.copy(&self.name, &self.shadow, mark, seen).await
    }

    /// Carries over what ingest has written so far, and swaps: from then on it writes into the new table.
    pub(super) async fn swap(&self, mark: &Mark, seen: &mut Parts) -> Result<u64> {
        let mut copied = 0;
        // the last one is short, so that a reader who looks at the moment of the swap misses little
        for _ in 0..2 {
            copied += self.carry(mark, seen).await?;
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
        // whoever moves a row of the new table right after the swap has to find where it was
        self.touches.enter_table(&self.shadow()).await?;
        let exchange = format!("EXCHANGE TABLES {} AND {}", self.live(), self.shadow());
        self.clickhouse.execute(&exchange).await?;
        failpoint::pass(Point::ResyncSwapped).await;
        Ok(copied)
    }

    /// After the swap the old table is called shadow: carries over the rest of it, and drops it.
    /// Its parts have the names that they had before.
    pub(super) async fn finish(&self, mark: &Mark, seen: &mut Parts) -> Result<u64> {
        let began = Instant::now();
        let mut copied = 0;
        if self.has_shadow().await? {
            copied += self.copy(&self.shadow, &self.name, mark, seen).await?;
            // an insert that began before the swap writes into the old table until it ends
            self.wait_for_inserts(began).await?;
            copied += self.copy(&self.shadow, &self.name, mark, seen).await?;
            failpoint::pass(Point::ResyncCopied).await;
            // what ingest wrote into the old table was told before readers saw it in the new one
            self.touches.enter_table(&self.live()).await?;
            let both = [self.live(), self.shadow()];
            self.touches.touch_tables(&both).await?;
            self.drop_shadow().await?;
        }
        failpoint::pass(Point::ResyncDropped).await;
        let sql = format!("ALTER TABLE {} MODIFY COMMENT ''", self.live());
        self.clickhouse.execute(&sql).await?;
        Ok(copied)
    }

    async fn has_shadow(&self) -> Result<bool> {
        let sql = format!(
            "SELECT count() FROM system.tables WHERE {}",
            of_table(self.database, "name", &self.shadow)
        );
        Ok(self.clickhouse.one::<u64>(&sql).await? > 0)
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
    async fn copy(&self, from: &str, to: &str, mark: &Mark, seen: &mut Parts) -> Result<u64> {
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
        let count: u64 = self
            .clickhouse
            .one(&format!("SELECT count() {rows}"))
            .await?;
        if count > 0 {
            let columns = self.columns_of(from).await?;
            let sql = format!(
                "INSERT INTO {} ({columns}) SELECT {columns} {rows}",
                qualified(self.database, to)
            );
            self.clickhouse.execute(&sql).await?;
        }
        seen.extend(parts);
        Ok(count)
    }
}
