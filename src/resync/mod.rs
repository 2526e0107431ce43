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
//! after a crash sees from the comments alone how far it was.
//!
//! | shadow | live table's comment | what is done |
//! |---|---|---|
//! | none | none | everything |
//! | there | none | not swapped: the shadow is dropped, everything is done again |
//! | there | marked | swapped: what belongs into the new table and is in the old one is copied, then that is dropped |
//! | none | marked | done but for the comment |
//!
//! | file | what it holds |
//! |---|---|
//! | `source`, `fill` | the shadow gets the rows of the source database |
//! | `topic` | it gets the messages that Kafka has |
//! | `untold` | what silver had and Kafka does not tell of: kept, dropped, or a reason to stop |
//! | `mark` | the comment, and which rows of the old table are in the new one as they are |
//! | `swap` | both tables |

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
use crate::sink::touches::Touches;
use mark::Mark;
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
    let touches = Touches::new(job, &clickhouse, database, ops);
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
        let copied = tables.finish(&mark, &mut Parts::new()).await?;
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
    summary.copied += tables.swap(&mark, &mut seen).await?;
    summary.copied += tables.finish(&mark, &mut seen).await?;
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
