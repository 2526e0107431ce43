//! `bullion schedule`: gold jobs by their cron lines and after their input, until a signal comes.

use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::{Result, Retry};
use crate::gold;
use crate::job::{Jobs, When};
use crate::schedule::{Scheduler, last_complete, next_fire, nothing_to_schedule};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion schedule --next 3   what would run, and when
  bullion schedule            run it: the last complete window at each fire, history in ops.runs

A job with schedule = \"on-change\" is built some seconds after what it depends on has changed.")]
pub struct Args {
    /// Print each job's next N fires and the windows they would build, and run nothing
    #[arg(long, value_name = "N")]
    next: Option<u8>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    if jobs.gold.iter().all(|job| job.schedule.is_none()) {
        return Err(nothing_to_schedule());
    }
    if let Some(count) = args.next {
        return Ok(upcoming(&jobs, count, &context));
    }
    let clickhouse = connect(&config, &context.shutdown).await?;
    gold::repair(&clickhouse, &config, &jobs, &context.shutdown).await?;
    let scheduler = Scheduler {
        clickhouse,
        config,
        jobs,
        shutdown: context.shutdown,
    };
    scheduler.run().await?;
    Ok(Outcome::done("stopped"))
}

/// How often a ClickHouse that is down is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A service starts in any order with those that it needs: one that may come back is waited for.
async fn connect(config: &Config, shutdown: &Shutdown) -> Result<ClickHouse> {
    loop {
        match ClickHouse::connect(&config.clickhouse).await {
            Err(error) if error.kind().policy().retry != Retry::Never => {
                tracing::warn!(%error, "waiting for clickhouse");
            }
            connected => return connected,
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            signal = shutdown.wait() => return Err(signal.error()),
        }
    }
}

fn upcoming(jobs: &Jobs, count: u8, context: &Context) -> Outcome {
    let mut fires = Vec::new();
    for job in &jobs.gold {
        let mut after = Utc::now();
        for _ in 0..count {
            let Some(fire) = next_fire(job, after) else {
                break;
            };
            let window = last_complete(job, fire);
            let label = job.calendar.label(window);
            let label = match job.looking_back(window).len() - 1 {
                0 => label,
                before => format!("{label} and {before} before"),
            };
            fires.push((fire, job, label));
            after = fire;
        }
    }
    fires.sort_by_key(|(fire, ..)| *fire);
    if context.output == out::Format::Text {
        let following = jobs.gold.iter().filter(|job| job.follows_changes());
        let following = following.map(|job| {
            let when = When::ON_CHANGE.to_owned();
            vec![when, job.name.clone(), "what changed".to_owned()]
        });
        let rows = fires.iter().map(|(fire, job, window)| {
            vec![job.calendar.show(*fire), job.name.clone(), window.clone()]
        });
        let rows = following.chain(rows);
        out::table(&["fire", "job", "window"], rows);
    }
    let fires: Vec<Value> = fires
        .iter()
        .map(|(fire, job, window)| json!({"fire": job.calendar.show(*fire), "job": job.name, "window": window}))
        .collect();
    Outcome::done("ok").with("fires", fires)
}
