//! A silver table built anew beside the old one and put in its place at once.
//!
//! ```text
//! ends ─▶ shadow ─▶ every row of the source ─────▶ what ingest wrote meanwhile ─▶ EXCHANGE ─▶ the rest of it ─▶ drop
//!         (marked)  under the version rule,        (versions at or above the ends)
//!                   or every message of Kafka
//!                   under its own version
//! ```
//!
//! The comment of the table that is built says so and holds the ends, and goes with it through the EXCHANGE: whoever comes
//! after a crash sees from the comments alone how far it was (`sink::shadows`).
//!
//! | table beside the live one | what is done |
//! |---|---|
//! | none | everything |
//! | built after the live one | not swapped: it is dropped, everything is done again |
//! | another | swapped out: what belongs into the new table and is in the old one is copied, then that is dropped |
//!
//! | file | what it holds |
//! |---|---|
//! | `source`, `fill` | the shadow gets the rows of the source database |
//! | `topic` | it gets the messages that Kafka has |
//! | `untold` | what silver had and Kafka does not tell of: kept, dropped, or a reason to stop |
//! | `mark` | which rows of the old table are in the new one as they are |
//! | `swap` | both tables, and what an earlier run has left of them |

mod fill;
mod mark;
mod source;
mod swap;
mod topic;
mod untold;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::catalog::{System, TableName};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::lease::Lease;
use crate::migrate::evolved;
use crate::migrate::silver::table_name;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::{ClickHouse, literal};
use crate::sink::shadows::{Mark, Shadows};
use crate::sink::touches::Touches;
use swap::{Parts, Tables};

/// What `bullion resync` is asked to do.
pub struct Request {
    pub job: SilverJob,
    pub from: From,
    pub dry_run: bool,
}

/// Where the rows come from.
pub enum From {
    Table {
        system: System,
        table: TableName,
        /// how long a running ingest may take to read what the topic holds now
        patience: Duration,
    },
    Kafka {
        /// nothing: the table is only built where there are none
        untold: Option<NotInKafka>,
        /// a person watches
        terminal: bool,
    },
}

/// What becomes of rows that silver has and that Kafka does not tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NotInKafka {
    /// They stay as they are
    Keep,
    /// The table has what Kafka's messages make, and nothing else
    Drop,
}

#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// an earlier run had swapped the tables and was cut short: only its end was left to do
    pub finished_earlier: bool,
    /// messages of Kafka
    pub messages: u64,
    /// rows of the source, or of the messages
    pub rows: u64,
    /// messages that are dead letters now, by reason
    pub rejects: BTreeMap<&'static str, u64>,
    /// rows that only silver had
    pub removed: u64,
    /// rows that only silver had and keeps: `delete = "ignore"`, a row of the source hides its key, or Kafka does not tell of them
    pub kept: u64,
    /// rows that the job rejects, kept as silver has them
    pub refused: u64,
    /// rows that were taken along as they are: of ingest, written before and after the swap, and those that are kept
    pub copied: u64,
    pub seconds: f64,
}

/// What both ways of filling the shadow work on.
struct Anew<'a> {
    config: &'a Config,
    clickhouse: &'a ClickHouse,
    job: &'a SilverJob,
    tables: &'a Tables<'a>,
    lease: &'a Lease,
    dry_run: bool,
}

/// A shadow that has everything it is filled with.
struct Filled {
    mark: Mark,
    seen: Parts,
    summary: Summary,
}

/// Tells what will be done, then does it.
pub async fn run(
    config: &Config,
    request: &Request,
    shutdown: &Shutdown,
    told: impl Fn(String),
) -> Result<Summary> {
    let began = Instant::now();
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    if clickhouse.is_replicated() {
        let message = "resync does not work on a cluster yet";
        return Err(Error::new(Kind::Config, message).advise("`bullion verify --repair` does"));
    }
    let (database, ops) = (&config.clickhouse.silver, &config.clickhouse.ops);
    let job = &evolved::verified(&clickhouse, (database, ops), &request.job).await?;
    let table = table_name(job);
    let touches = Touches::new(job, &clickhouse, database, ops);
    let floor = Shadows::look(&clickhouse, database, &table).await?;
    let target = format!("silver.{}", job.name);
    let lease = Lease::acquire(&config.lease, &target, floor.highest_token()).await?;
    let tables = Tables::new(&clickhouse, database, &table, &lease, touches);
    let swapped_out = match request.dry_run {
        true => tables.swapped_out().await?,
        false => tables.take_over().await?,
    };
    if let Some(old) = swapped_out {
        told(format!(
            "{}: an earlier run has swapped the tables: what is left is done",
            job.name
        ));
        if request.dry_run {
            return Ok(Summary::default());
        }
        let columns = evolved::columns_lease(&config.lease, database, job).await?;
        let copied = tables.finish(&old, &mut Parts::new(), columns).await?;
        lease.release().await;
        return Ok(Summary {
            finished_earlier: true,
            copied,
            seconds: began.elapsed().as_secs_f64(),
            ..Summary::default()
        });
    }
    let anew = Anew {
        config,
        clickhouse: &clickhouse,
        job,
        tables: &tables,
        lease: &lease,
        dry_run: request.dry_run,
    };
    let filled = match &request.from {
        From::Table {
            system,
            table,
            patience,
        } => source::fill(&anew, *system, table, *patience, told).await?,
        From::Kafka { untold, terminal } => {
            topic::fill(&anew, *untold, *terminal, shutdown, told).await?
        }
    };
    let Some(filled) = filled else {
        return Ok(Summary::default());
    };
    let Filled {
        mark,
        mut seen,
        mut summary,
    } = filled;
    failpoint::pass(Point::ResyncFilled).await;
    lease.check().await?;
    summary.copied += tables.carry(&mark, &mut seen).await?;
    tables.enter_times().await?;
    // no column comes or widens between the look at both tables and the last copy
    let columns = evolved::columns_lease(&config.lease, database, job).await?;
    let (copied, old) = tables.swap(mark, &mut seen, &columns).await?;
    summary.copied += copied + tables.finish(&old, &mut seen, columns).await?;
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
