//! The door to gold and its ledger: whoever comes in first makes whole what a crash left in mid-swap, in every job.

use super::Session;
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::job::{GoldJob, Jobs};
use crate::ledger::{Ending, Ledger, Run};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;

/// For every command that touches gold or reads the ledger.
pub async fn connect(config: &Config, jobs: &Jobs, shutdown: &Shutdown) -> Result<ClickHouse> {
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    repair(&clickhouse, config, jobs, shutdown).await?;
    Ok(clickhouse)
}

/// Redoes every swap that was cut off. One that cannot be redone now is told and stays `swapping`: it is no reason to keep
/// a command from other jobs, and its own job fails when it is built. Says how many those are.
pub async fn repair(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &Jobs,
    shutdown: &Shutdown,
) -> Result<usize> {
    let names = match Ledger::jobs_in_mid_swap(clickhouse, &config.clickhouse.ops).await {
        // nothing was ever built; what needs the ledger says so itself
        Err(error) if error.kind() == Kind::NotFound => return Ok(0),
        names => names?,
    };
    let mut left = 0;
    for name in names {
        let Some(job) = jobs.gold.iter().find(|job| job.name == name) else {
            tracing::warn!(
                job = name,
                "a swap was cut off, and the job is not declared any more: its target may hold old rows beside new ones"
            );
            left += 1;
            continue;
        };
        let redone = tokio::select! {
            redone = redo(clickhouse, config, job) => redone,
            signal = shutdown.wait() => return Err(signal.error()),
        };
        match redone {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::LeaseHeld => {
                tracing::debug!(job = name, %error, "its swap goes on");
            }
            Err(error) => {
                tracing::error!(job = name, %error, advice = error.advice(), "a swap was cut off and cannot be redone yet");
                left += 1;
            }
        }
    }
    Ok(left)
}

async fn redo(clickhouse: &ClickHouse, config: &Config, job: &GoldJob) -> Result<()> {
    let run = Run::new(&job.name, "repair");
    let session = Session::open(clickhouse, config, job, &run).await?;
    let windows = session.recovered.len();
    if windows > 0 {
        let ended = Ending {
            state: "done",
            windows,
            built: windows,
            token: session.token(),
            ..Ending::default()
        };
        let ops = &config.clickhouse.ops;
        run.write(clickhouse, ops, &ended, true).await?;
        run.keep(clickhouse, ops).await?;
    }
    session.close().await;
    Ok(())
}
