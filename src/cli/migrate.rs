//! `bullion migrate`: what the jobs declare comes to stand in ClickHouse. Running it again changes nothing.

use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::gold;
use crate::job::{Jobs, in_dependency_order};
use crate::migrate;
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
#[command(after_help = "\
Only adds. A table whose engine, key or column type differs from its job is refused, never changed.
Run it again: it changes nothing.")]
pub struct Args {
    /// Print the statements and run none
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let changes = if args.dry_run {
        plan(&clickhouse, &config, &jobs).await?
    } else {
        let told = |change: &migrate::Change| {
            if context.output == out::Format::Text {
                out::line(&change.what);
            }
        };
        let made = migrate::apply(&clickhouse, &config, &jobs, told).await?;
        gold::repair(&clickhouse, &config, &jobs, &context.shutdown).await?;
        made
    };
    if changes.is_empty() && context.output == out::Format::Text {
        out::line("nothing to change");
    }
    let notes = migrate::notes(&clickhouse, &config, &jobs).await?;
    if context.output == out::Format::Text {
        notes.iter().for_each(out::line);
    }
    let done: Vec<_> = changes.into_iter().map(|change| change.what).collect();
    let status = match (done.is_empty(), args.dry_run) {
        (true, _) => "noop",
        (false, true) => "planned",
        (false, false) => "done",
    };
    Ok(Outcome::done(status)
        .with("changes", done)
        .with("notes", notes))
}

/// Prints what would be run. A gold target whose input does not stand yet cannot be planned, and is named instead.
async fn plan(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &Jobs,
) -> Result<Vec<migrate::Change>> {
    let mut changes = migrate::plan(clickhouse, config, jobs).await?;
    for job in in_dependency_order(&jobs.gold) {
        match migrate::gold::plan(clickhouse, &config.clickhouse, job).await {
            Ok(planned) => changes.extend(planned),
            Err(error) if error.kind() == Kind::NotFound => {
                tracing::info!(
                    job = job.name,
                    "its target is planned once the tables it reads stand"
                );
            }
            Err(error) => return Err(error),
        }
    }
    for change in &changes {
        out::line(format!("{};", change.sql));
    }
    Ok(changes)
}
