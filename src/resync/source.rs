//! From the source database: one snapshot of it, and the shadow filled from that.

use std::time::Duration;

use super::swap::Parts;
use super::{Anew, Filled, fill, mark};
use crate::catalog::{Database, System, TableName};
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::sink::checkpoints;
use crate::snapshot::{self, Reading, Snapshot};

/// Nothing where the plan was all that was asked for.
pub(super) async fn fill(
    anew: &Anew<'_>,
    system: System,
    table: &TableName,
    patience: Duration,
    told: impl Fn(String),
) -> Result<Option<Filled>> {
    let Anew {
        config,
        clickhouse,
        job,
        tables,
        ..
    } = *anew;
    let mut source = Database::connect(config, system).await?;
    let reading = Reading::new(job, &source.table(table).await?)?;
    if let Some(left) = reading.left_out.iter().find(|left| !left.readable) {
        let message = format!(
            "job {}: column {} cannot be read: {}",
            job.name, left.column, left.why
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "build the table from Kafka: `bullion resync {} --source kafka`",
            job.name
        )));
    }
    let stored = tables.rows().await?;
    told(format!(
        "{}: {stored} rows in silver; all rows of {table} go into {}, which then takes the place of {}",
        job.name,
        tables.shadow_name(),
        tables.name()
    ));
    if anew.dry_run {
        return Ok(None);
    }
    // the ends come first: what is below them is in what is read from the source afterwards
    let reached = snapshot::reached(&config.kafka, job).await?;
    checkpoints::check_identity(clickhouse, config, job, &reached.identity).await?;
    // a key that silver does not know has no change below the ends only once ingest has read all of them
    if let Some(behind) = snapshot::caught_up(clickhouse, config, job, &reached, patience).await? {
        return Err(behind.error(job));
    }
    let snapshot = Snapshot::of(&source, &reading).await?;
    snapshot.needs_position()?;
    let mark = mark::of(&reached.ends);
    tables.create_shadow(&mark).await?;
    failpoint::pass(Point::ResyncBegun).await;
    let filling = fill::Filling {
        clickhouse,
        tables,
        reading: &reading,
        ends: &reached.ends,
        lease: anew.lease,
    };
    let summary = filling.fill(&snapshot).await?;
    snapshot.close().await?;
    Ok(Some(Filled {
        mark,
        seen: Parts::new(),
        summary,
    }))
}
