//! `bullion new gold NAME [--from SILVER_JOB]`

use super::{Context, Outcome, Result, check_name, told, write_new};
use crate::column::Type;
use crate::job::{Jobs, SilverJob, unknown_job};

#[derive(clap::Args)]
#[command(after_help = "\
Example: bullion new gold orders_by_day --from orders")]
pub struct Args {
    /// The job's name; the table is gold.NAME
    name: String,
    /// The silver job that it reads [default: the first]
    #[arg(long, value_name = "SILVER_JOB")]
    from: Option<String>,
    /// Write over an existing job
    #[arg(long)]
    force: bool,
}

/// Stands for what nobody told us.
const SOMEWHERE: &str = "orders";
const SOMETIME: &str = "created_at";

pub fn run(args: Args, context: Context) -> Result<Outcome> {
    check_name(&args.name)?;
    let (config, jobs) = context.declarations()?;
    let silver = chosen(&jobs, args.from.as_deref())?;
    let source = silver.map_or(SOMEWHERE, |job| job.name.as_str());
    let time = silver.map_or_else(|| quoted(SOMETIME), time_column);
    let folder = config.jobs.join("gold");
    let declaration = folder.join(format!("{}.toml", args.name));
    let query = folder.join(format!("{}.sql", args.name));
    let files = [
        (declaration.as_path(), declared(source, silver.is_some())),
        (
            query.as_path(),
            select(source, &time, &config.clickhouse.silver),
        ),
    ];
    write_new(&files, args.force)?;
    let next = format!(
        "write its SELECT, then `bullion check`, `bullion migrate`, `bullion gold {} --date …`",
        args.name
    );
    Ok(told(&files, &next, &context))
}

fn chosen<'a>(jobs: &'a Jobs, wanted: Option<&str>) -> Result<Option<&'a SilverJob>> {
    let Some(wanted) = wanted else {
        return Ok(jobs.silver.first());
    };
    let names = jobs.silver.iter().map(|job| job.name.as_str());
    match jobs.silver.iter().find(|job| job.name == wanted) {
        Some(job) => Ok(Some(job)),
        None => Err(unknown_job("silver", wanted, names)),
    }
}

/// The declared time column, else the first that could be one, as an expression that is never NULL.
fn time_column(job: &SilverJob) -> String {
    let could_be = |kind: &Type| {
        let kind = kind.to_string();
        kind.contains("DateTime") && !kind.starts_with("Array")
    };
    let mut columns = job.columns.iter();
    let found = match &job.time_column {
        Some(name) => columns.find(|column| column.name == *name),
        None => columns.find(|column| could_be(&column.kind)),
    };
    match found {
        Some(column) if column.kind.is_nullable() => {
            format!("assumeNotNull({})", quoted(&column.name))
        }
        Some(column) => quoted(&column.name),
        None => quoted(SOMETIME),
    }
}

fn quoted(name: &str) -> String {
    crate::sink::clickhouse::quote(name)
}

fn declared(source: &str, exists: bool) -> String {
    let depends_on = match exists {
        true => format!("depends_on = [\"silver.{source}\"]"),
        false => format!("# depends_on = [\"silver.{source}\"]"),
    };
    format!(
        r#"# One row per day, rebuilt a window at a time: the same result however often it runs.
# The SELECT stands beside this file, under the same name with .sql.

# a window is one partition of the target: hour, day, week or month; or table: all of it at once
grain = "day"
# the column of the SELECT that places a row in its window
time_column = "day"
# whose midnight begins a day; default: `time_zone` of bullion.toml
# zone = "Europe/Berlin"
# the target is sorted by these columns of the SELECT
order_by = ["day"]

# when `bullion schedule` builds the last complete window, in the job's zone: minute hour day month weekday;
# "on-change" builds what changed, some seconds after it did
# schedule = "15 1 * * *"
# how long it waits for the window to be complete
# grace = "6h"
# a scheduled build and `gold --last` build the windows of so much time before, too
# lookback = "3d"
# words to select it by: `bullion gold --select tag:daily --last 7d`
# tags = ["daily"]
# what must be there, and complete, first
{depends_on}

# Audits look at the new rows before any reader sees them: a row that comes back is a finding.
# severity = "block" keeps the old rows (exit code 4), "warn" only tells.
[[audits]]
name = "no day without rows"
severity = "block"
sql = "SELECT day FROM {{staging}} WHERE rows = 0"

# Or one of: not_null, unique, accepted_values, range, row_count, sql_file
# [[audits]]
# name = "about as many rows as the day before"
# severity = "warn"
# row_count = {{ min_ratio = 0.5, max_ratio = 2.0 }}
"#
    )
}

fn select(source: &str, time: &str, database: &str) -> String {
    format!(
        "-- One window, [from, to). Paste it into clickhouse-client with --param_from and --param_to to try it.
SELECT
    toDate({time}) AS day,
    count() AS rows
FROM {}.{}
WHERE {time} >= {{from:DateTime64(3, 'UTC')}}
  AND {time} < {{to:DateTime64(3, 'UTC')}}
GROUP BY day
",
        quoted(database),
        quoted(source)
    )
}
