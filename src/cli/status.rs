//! `bullion status`: how every job stands, by what the ops tables know, and Kafka where it answers.

mod gold;
mod silver;

use chrono::{DateTime, SecondsFormat, Utc};

use super::selection::Selection;
use super::{Context, Outcome, out};
use crate::error::Result;
use crate::ledger;
use crate::select::Node;
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion status                         every job
  bullion status --select tag:daily      or a part of the graph, as for `bullion gold`
  bullion status --gaps                  the windows that were never built, and the commands that build them
  bullion status --output json           for a monitor: the exit code is 0 whatever is found

lag: messages of the topic that are not in silver yet; `not known` where Kafka does not answer within five seconds.
gaps: never built, between the first and the last window that readers see. behind: ended since the last one.
stale: of an older SQL, or built before the window had ended. `bullion gold --missing` builds gaps, stale windows and what failed;
`bullion gold --dirty` what silver changed since it was built. What is behind needs a range: --gaps gives the command.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// List the ranges of windows that are missing, each with the command that builds it
    #[arg(long)]
    gaps: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let chosen = args.selection.nodes(&jobs)?;
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let asked = async {
        let unfinished = ledger::unfinished(&clickhouse, &config).await?;
        let now = now(&clickhouse).await?;
        let mut golds = Vec::new();
        for job in &jobs.gold {
            if chosen.contains(&Node::Gold(job.name.clone())) {
                golds.push(gold::look(&clickhouse, &config, &jobs, job, &unfinished, now).await?);
            }
        }
        let silvers = jobs.silver.iter();
        let silvers = silvers.filter(|job| chosen.contains(&Node::Silver(job.name.clone())));
        let silvers: Vec<_> = silvers.collect();
        let silvers = silver::look(&clickhouse, &config, &silvers, now).await?;
        Ok((golds, silvers))
    };
    let (golds, silvers) = tokio::select! {
        asked = asked => asked?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    if context.output == out::Format::Text {
        match args.gaps {
            true => gold::show_gaps(&golds),
            false => {
                silver::show(&silvers);
                gold::show(&golds);
            }
        }
    }
    Ok(Outcome::done("done")
        .with(
            "gold",
            golds.iter().map(gold::described).collect::<Vec<_>>(),
        )
        .with(
            "silver",
            silvers.iter().map(silver::described).collect::<Vec<_>>(),
        ))
}

/// All times in the ops tables are ClickHouse's.
async fn now(clickhouse: &ClickHouse) -> Result<DateTime<Utc>> {
    let micros = clickhouse.now().await?;
    Ok(DateTime::from_timestamp_micros(micros).unwrap_or_default())
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Nothing is the usual number, and the eye should pass it by.
fn count(number: usize) -> String {
    match number {
        0 => "·".to_owned(),
        number => number.to_string(),
    }
}
