//! A silver table built anew beside the old one and put in its place at once.
//!
//! ```text
//! ends of the topic ─▶ shadow ─▶ every row of the source ─▶ what ingest wrote meanwhile ─▶ EXCHANGE ─▶ the rest of it ─▶ drop
//!                      (marked)  under the version rule      (versions at or above the ends)
//! ```
//!
//! The comment of the table that is built says so and holds the ends, and goes with it through the EXCHANGE: whoever comes
//! after a crash sees from the comments alone how far it was.
//!
//! | shadow | live table's comment | what is done |
//! |---|---|---|
//! | none | none | everything |
//! | there | none | not swapped: the shadow is dropped, everything is done again |
//! | there | marked | swapped: what ingest wrote into the old table is copied, then it is dropped |
//! | none | marked | done but for the comment |

mod fill;
mod mark;
mod swap;

use std::time::{Duration, Instant};

use crate::catalog::{Database, System, TableName};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::lease::Lease;
use crate::migrate::evolved;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::checkpoints;
use crate::sink::clickhouse::{ClickHouse, literal};
use crate::sink::touches::Touches;
use crate::snapshot::{self, Reading, Snapshot};
use mark::Mark;
use swap::Tables;

/// What `bullion resync` is asked to do.
pub struct Request {
    pub job: SilverJob,
    /// whose table it is
    pub system: System,
    pub table: TableName,
    /// how long a running ingest may take to read what the topic holds now
    pub patience: Duration,
    pub dry_run: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// an earlier run had swapped the tables and was cut short: only its end was left to do
    pub finished_earlier: bool,
    /// rows of the source
    pub rows: u64,
    /// rows that only silver had
    pub removed: u64,
    /// rows that only silver had and keeps: `delete = "ignore"`, or a row of the source hides its key
    pub kept: u64,
    /// rows that the job rejects, kept as silver has them
    pub refused: u64,
    /// rows of ingest, written before and after the swap, that were copied
    pub copied: u64,
    pub seconds: f64,
}

/// Tells what will be done, then does it.
pub async fn run(config: &Config, request: &Request, told: impl Fn(String)) -> Result<Summary> {
    let began = Instant::now();
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    if clickhouse.is_replicated() {
        let message = "resync does not work on a cluster yet";
        return Err(Error::new(Kind::Config, message).advise("`bullion verify --repair` does"));
    }
    let database = &config.clickhouse.silver;
    let job = &evolved::verified(&clickhouse, database, &request.job).await?;
    let touches = Touches::new(job, &clickhouse, database, &config.clickhouse.ops);
    let tables = Tables::new(&clickhouse, database, &table_name(job), touches);
    let lease = Lease::acquire(&config.lease, &format!("silver.{}", job.name), 0).await?;
    if let Some(mark) = tables.mark().await? {
        told(format!(
            "{}: an earlier run has swapped the tables: what is left is done",
            job.name
        ));
        if request.dry_run {
            return Ok(Summary::default());
        }
        let copied = tables.finish(&mark).await?;
        lease.release().await;
        return Ok(Summary {
            finished_earlier: true,
            copied,
            seconds: began.elapsed().as_secs_f64(),
            ..Summary::default()
        });
    }
    let mut source = Database::connect(config, request.system).await?;
    let reading = Reading::new(job, &source.table(&request.table).await?)?;
    if let Some(left) = reading.left_out.iter().find(|left| !left.readable) {
        let message = format!(
            "job {}: column {} cannot be read: {}",
            job.name, left.column, left.why
        );
        return Err(Error::new(Kind::Mismatch, message));
    }
    let stored: u64 = clickhouse
        .one(&format!(
            "SELECT count() FROM {} FINAL",
            qualified(database, &table_name(job))
        ))
        .await?;
    told(format!(
        "{}: {stored} rows in silver; all rows of {} go into {}, which then takes the place of {}",
        job.name,
        request.table,
        tables.shadow_name(),
        table_name(job)
    ));
    if request.dry_run {
        return Ok(Summary::default());
    }
    // the ends come first: what is below them is in what is read from the source afterwards
    let reached = snapshot::reached(&config.kafka, job).await?;
    checkpoints::check_identity(&clickhouse, &config.clickhouse.ops, job, &reached.identity)
        .await?;
    // a key that silver does not know has no change below the ends only once ingest has read all of them
    let patience = request.patience;
    if let Some(behind) = snapshot::caught_up(&clickhouse, config, job, &reached, patience).await? {
        return Err(behind.error(job));
    }
    let snapshot = Snapshot::of(&source, &reading).await?;
    snapshot.needs_position()?;
    let mark = Mark::of(&reached.ends);
    tables.create_shadow(&mark).await?;
    failpoint::pass(Point::ResyncBegun).await;
    let filling = fill::Filling {
        clickhouse: &clickhouse,
        tables: &tables,
        reading: &reading,
        ends: &reached.ends,
        lease: &lease,
    };
    let mut summary = filling.fill(&snapshot).await?;
    snapshot.close().await?;
    failpoint::pass(Point::ResyncFilled).await;
    lease.check().await?;
    summary.copied = tables.swap(&mark).await?;
    summary.copied += tables.finish(&mark).await?;
    lease.release().await;
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}

/// A condition on ClickHouse's own tables.
fn of_table(database: &str, column: &str, table: &str) -> String {
    format!(
        "database = {} AND {column} = {}",
        literal(database),
        literal(table)
    )
}
