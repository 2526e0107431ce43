//! `bullion compile`: the SQL of a gold job for a window, as it would run.

use serde_json::{Value, json};

use super::gold::RangeArgs;
use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::Result;
use crate::job::GoldJob;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;
use crate::{gold, migrate};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion compile orders_by_day --date 2025-03-01 | clickhouse-client
  bullion compile orders_by_day --last 3d --insert    fill a staging table by hand; the next build drops it

Reads files only; --insert asks ClickHouse for the columns.")]
pub struct Args {
    /// Gold job
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    range: RangeArgs,
    /// The statements that make and fill a staging table, instead of the SELECT alone
    #[arg(long)]
    insert: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let selected = jobs.select_gold(std::slice::from_ref(&args.job))?;
    let Some((job, windows)) = args.range.windows(&selected)?.pop() else {
        return Ok(Outcome::done("noop"));
    };
    let compiled = match args.insert {
        true => staged(&config, job, &windows).await?,
        false => windows.iter().map(|w| vec![job.filled(*w)]).collect(),
    };
    if context.output == out::Format::Text {
        show(job, &windows, &compiled);
    }
    let labels = windows.iter().map(|window| job.calendar.label(*window));
    let described: Vec<Value> = labels
        .zip(compiled)
        .map(|(label, sql)| json!({"window": label, "sql": sql.join(";\n")}))
        .collect();
    Ok(Outcome::done("ok")
        .with("job", job.name.as_str())
        .with("windows", described))
}

async fn staged(config: &Config, job: &GoldJob, windows: &[Window]) -> Result<Vec<Vec<String>>> {
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let database = &config.clickhouse.gold;
    let columns = migrate::gold::verify(&clickhouse, database, job).await?;
    let cluster_wide = clickhouse.on_cluster();
    let statements = |window: &Window| {
        gold::statements(database, &cluster_wide, job, &columns, *window).to_vec()
    };
    Ok(windows.iter().map(statements).collect())
}

/// One statement stands as it is; several are parted, each window under its name.
fn show(job: &GoldJob, windows: &[Window], compiled: &[Vec<String>]) {
    if let [one] = compiled
        && let [statement] = one.as_slice()
    {
        return out::line(statement);
    }
    for (window, statements) in windows.iter().zip(compiled) {
        out::line(format!("-- {} {}", job.name, job.calendar.label(*window)));
        for statement in statements {
            out::line(format!("{statement};"));
        }
    }
}
