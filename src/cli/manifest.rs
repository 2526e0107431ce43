//! `bullion manifest`: the gold jobs as a scheduler needs to know them.

use serde_json::{Value, json};

use super::selection::Selection;
use super::{Context, Outcome, out};
use crate::error::Result;
use crate::job::{GoldJob, When};

/// Raised when a field changes its meaning.
const VERSION: u8 = 1;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion manifest --output json > manifest.json
  bullion manifest --select tag:daily --output json   a scheduler that runs only these")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
}

pub fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let gold = args.selection.gold(&jobs)?;
    if context.output == out::Format::Text {
        let rows = gold.iter().map(|job| {
            vec![
                job.name.clone(),
                job.calendar.grain.to_string(),
                job.calendar.zone.to_string(),
                job.schedule.as_ref().map_or("", When::as_str).to_owned(),
                depends_on(job).join(", "),
                job.tags.join(", "),
            ]
        });
        out::table(
            &["job", "grain", "zone", "schedule", "depends on", "tags"],
            rows,
        );
    }
    let described: Vec<Value> = gold
        .iter()
        .map(|job| describe(&config.clickhouse.gold, job))
        .collect();
    Ok(Outcome::done("ok")
        .with("manifest_version", VERSION)
        .with("gold", described))
}

fn describe(database: &str, job: &GoldJob) -> Value {
    json!({
        "name": job.name,
        "target": format!("{database}.{}", job.name),
        "grain": job.calendar.grain.to_string(),
        "zone": job.calendar.zone.name(),
        "schedule": job.schedule.as_ref().map(When::as_str),
        "grace_seconds": job.grace.as_secs(),
        "lookback": job.lookback.map(|span| span.to_string()),
        "depends_on": depends_on(job),
        "tags": job.tags,
        "audits": job.audits.iter().map(|audit| audit.name.as_str()).collect::<Vec<_>>(),
        "sql_hash": job.sql_hash,
    })
}

fn depends_on(job: &GoldJob) -> Vec<String> {
    job.depends_on.iter().map(ToString::to_string).collect()
}
