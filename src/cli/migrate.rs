//! `bullion migrate`: what the jobs declare comes to stand in ClickHouse. Running it again changes nothing.

use super::{Context, Outcome, out};
use crate::error::Result;
use crate::migrate;
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
pub struct Args {
    /// Print the statements and run none
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let changes = migrate::plan(&clickhouse, &config, &jobs).await?;
    for change in &changes {
        if args.dry_run {
            out::line(format!("{};", change.sql));
        } else {
            clickhouse.execute(&change.sql).await?;
            if context.output == out::Format::Text {
                out::line(&change.what);
            }
        }
    }
    if changes.is_empty() && context.output == out::Format::Text {
        out::line("nothing to change");
    }
    let done: Vec<_> = changes.into_iter().map(|change| change.what).collect();
    let status = match (done.is_empty(), args.dry_run) {
        (true, _) => "noop",
        (false, true) => "planned",
        (false, false) => "done",
    };
    Ok(Outcome::done(status).with("changes", done))
}
