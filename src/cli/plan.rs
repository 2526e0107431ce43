//! `bullion plan`: which windows of gold would be built, why, and what they would read. Builds nothing.

use serde_json::{Value, json};

use super::gold::{DueArgs, Look, RangeArgs, ranges};
use super::selection::Selection;
use super::{Context, Outcome, out};
use crate::due::{Planned, Reason, Wish, to_build};
use crate::error::Result;
use crate::estimate::{self, Rows};
use crate::job::{Dependency, GoldJob};
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion plan                                        what --missing --dirty would build, of every job
  bullion plan orders_by_day --last 30d --missing     what a backfill of these would build
  bullion plan --select silver.orders+ --date 2025-03-01 --sql

Reads the ledger and ClickHouse's index, and builds nothing. Rows are an estimate: docs/plan.md says what it cannot know.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    due: DueArgs,
    /// Each job's SELECT, filled for the first window that would be built
    #[arg(long)]
    sql: bool,
    /// Ask ClickHouse for no estimate
    #[arg(long)]
    no_estimate: bool,
}

/// What would become of one job.
struct JobPlan<'j> {
    job: &'j GoldJob,
    planned: Vec<Planned>,
    /// of the windows to build; why there is none
    rows: Result<Vec<Rows>>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, declared) = context.declarations()?;
    let jobs = args.selection.gold(&declared)?;
    let (ranges, wish) = match args.due.is_given() || args.range.is_given() {
        true => (ranges(&args.range, &args.due, &jobs)?, args.due.wish()),
        false => (jobs.iter().map(|job| (job, None)).collect(), WHAT_IS_DUE),
    };
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let look = Look {
        clickhouse: &clickhouse,
        config: &config,
        declared: &declared,
        limits: args.range.limits(),
        wish,
    };
    let mut plans: Vec<JobPlan<'_>> = Vec::new();
    for (job, range) in ranges {
        let planned = look.at(job, range.as_deref(), &before(job, &plans)).await?;
        let rows = match args.no_estimate {
            true => Ok(Vec::new()),
            false => estimate::rows(&clickhouse, job, &to_build(&planned)).await,
        };
        plans.push(JobPlan { job, planned, rows });
    }
    if context.output == out::Format::Text {
        show(&plans, args.sql);
    }
    Ok(outcome(&plans, args.sql))
}

/// Where neither a range nor what is due was given.
const WHAT_IS_DUE: Wish = Wish::Due {
    missing: true,
    dirty: true,
};

/// The windows that are built or may be, of the jobs that this one reads.
fn before(job: &GoldJob, plans: &[JobPlan<'_>]) -> Vec<Window> {
    let is_read = |plan: &&JobPlan<'_>| {
        let name = Dependency::Gold(plan.job.name.clone());
        job.depends_on.contains(&name)
    };
    let read = plans.iter().filter(is_read);
    let may = |planned: &&Planned| planned.build || planned.reason == Reason::Upstream;
    let windows = read.flat_map(|plan| plan.planned.iter().filter(may));
    windows.map(|planned| planned.window).collect()
}

impl JobPlan<'_> {
    fn to_build(&self) -> usize {
        self.planned.iter().filter(|planned| planned.build).count()
    }

    fn estimated(&self) -> &[Rows] {
        self.rows.as_deref().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        self.estimated().iter().map(|rows| rows.number()).sum()
    }

    /// Each window that was looked at, with the rows of those to build.
    fn with_rows(&self) -> impl Iterator<Item = (&Planned, Option<Rows>)> {
        let mut rows = self.estimated().iter();
        let of = move |planned| match planned {
            planned @ &Planned { build: true, .. } => (planned, rows.next().copied()),
            planned => (planned, None),
        };
        self.planned.iter().map(of)
    }

    /// The SELECT of the first window to build.
    fn sql(&self) -> Option<String> {
        let first = self.planned.iter().find(|planned| planned.build)?;
        Some(self.job.filled(first.window))
    }
}

fn show(plans: &[JobPlan<'_>], sql: bool) {
    let lines = plans.iter().flat_map(lines);
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        out::table(&["job", "window", "why", "reads about"], lines);
    }
    for JobPlan { job, planned, rows } in plans {
        let name = &job.name;
        // a range is never empty
        if planned.is_empty() {
            out::line(format!(
                "{name}: the ledger knows of no window to build; a range shows others"
            ));
        }
        if let Err(error) = rows {
            out::line(format!("{name}: rows are not known: {error}"));
        }
    }
    let built: usize = plans.iter().map(JobPlan::to_build).sum();
    let looked_at: usize = plans.iter().map(|plan| plan.planned.len()).sum();
    let rows: u64 = plans.iter().map(JobPlan::total).sum();
    let rows = match rows {
        0 => String::new(),
        rows => format!(", about {rows} rows to read"),
    };
    out::line(format!(
        "{built} to build, {} left as they are{rows}",
        looked_at - built
    ));
    for plan in plans.iter().filter(|_| sql) {
        if let Some(sql) = plan.sql() {
            out::line(format!("-- {}\n{sql};", plan.job.name));
        }
    }
}

/// A line for each window to build; those beside one another that are left for the same reason share one.
fn lines(plan: &JobPlan<'_>) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let label = |planned: &Planned| plan.job.calendar.label(planned.window);
    let planned: Vec<(&Planned, Option<Rows>)> = plan.with_rows().collect();
    let alike = |one: &(&Planned, Option<Rows>), other: &(&Planned, Option<Rows>)| {
        !one.0.build && !other.0.build && one.0.reason == other.0.reason
    };
    for group in planned.chunk_by(alike) {
        let (Some((first, rows)), Some((last, _))) = (group.first(), group.last()) else {
            continue;
        };
        let windows = match group.len() {
            1 => label(first),
            count => format!("{} … {} ({count})", label(first), label(last)),
        };
        let why = match first.build {
            true => first.reason.to_string(),
            false => format!("left: {}", first.reason),
        };
        let rows = match rows {
            Some(Rows::Asked(rows)) => rows.to_string(),
            Some(Rows::Taken(rows)) => format!("~{rows}"),
            None => String::new(),
        };
        lines.push(vec![plan.job.name.clone(), windows, why, rows]);
    }
    lines
}

fn outcome(plans: &[JobPlan<'_>], sql: bool) -> Outcome {
    let built: usize = plans.iter().map(JobPlan::to_build).sum();
    let rows: u64 = plans.iter().map(JobPlan::total).sum();
    let jobs: Vec<Value> = plans.iter().map(|plan| describe(plan, sql)).collect();
    Outcome::done(if built == 0 { "noop" } else { "planned" })
        .with("to_build", built)
        .with("rows_to_read", rows)
        .with("jobs", jobs)
}

fn describe(plan: &JobPlan<'_>, sql: bool) -> Value {
    let windows: Vec<Value> = plan
        .with_rows()
        .map(|(planned, rows)| {
            json!({
                "window": plan.job.calendar.label(planned.window),
                "from": planned.window.from,
                "to": planned.window.to,
                "build": planned.build,
                "why": planned.reason.as_str(),
                "rows_to_read": rows.map(Rows::number),
                "asked": rows.map(|rows| matches!(rows, Rows::Asked(_))),
            })
        })
        .collect();
    let mut described = json!({
        "job": plan.job.name,
        "to_build": plan.to_build(),
        "rows_to_read": plan.rows.is_ok().then(|| plan.total()),
        "windows": windows,
    });
    if let Err(error) = &plan.rows {
        described["not_known"] = Value::from(error.to_string());
    }
    if let (true, Some(sql)) = (sql, plan.sql()) {
        described["sql"] = Value::from(sql);
    }
    described
}
