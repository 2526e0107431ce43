//! `bullion backfill`: many windows of one gold job, some at a time; run again after a kill, it goes on.

use serde_json::Value;

use super::gold::{RangeArgs, Told, show_expansion};
use super::{Context, Outcome, out};
use crate::backfill::{Plan, plan};
use crate::error::{Kind, Result};
use crate::gold::{Pace, Work};
use crate::job::GoldJob;
use crate::ledger::{Ledger, Run};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion backfill orders_by_day --from 2024-01-01 --to 2025-01-01 --dry-run   which windows are left
  bullion backfill orders_by_day --from 2024-01-01 --to 2025-01-01             build them
  bullion backfill orders_by_day --last 30d --rebuild                          the finished ones too

Finished means: ops.windows says so, for the SQL that the job has now.")]
pub struct Args {
    /// Gold job
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    range: RangeArgs,
    /// Windows built at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    /// Print the plan and build nothing
    #[arg(long)]
    dry_run: bool,
    /// Build finished windows as well
    #[arg(long)]
    rebuild: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let selected = jobs.select_gold(std::slice::from_ref(&args.job))?;
    let Some((job, windows)) = args.range.windows(&selected)?.pop() else {
        return Ok(Outcome::done("noop"));
    };
    show_expansion(&context, job, &windows);
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let ledger = Ledger::new(&clickhouse, &config.clickhouse.ops, &job.name);
    let plan = plan(&ledger, job, &windows, args.rebuild).await?;
    show(&context, job, &plan, usize::from(args.parallel));
    if args.dry_run {
        return Ok(outcome("planned", job, &plan));
    }
    let work = Work {
        job,
        windows: &plan.to_build,
        pace: Pace(usize::from(args.parallel)),
        run: Run::new(&job.name, "backfill"),
        terminal: out::is_terminal(),
    };
    // with nothing left to build a window that a crash left in mid-swap is still repaired
    let result = work.perform(&clickhouse, &config, &context.shutdown).await;
    match result {
        Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => Err(error),
        result => {
            let mut told = Told::default();
            told.note(job, result);
            let outcome = told.outcome(&context)?;
            Ok(outcome.with("finished_before", plan.finished.len()))
        }
    }
}

fn outcome(status: &str, job: &GoldJob, plan: &Plan) -> Outcome {
    let labels: Vec<Value> = plan
        .to_build
        .iter()
        .map(|window| Value::from(job.calendar.label(*window)))
        .collect();
    Outcome::done(status)
        .with("job", job.name.as_str())
        .with("windows", plan.to_build.len() + plan.finished.len())
        .with("finished_before", plan.finished.len())
        .with("to_build", labels)
}

/// Windows of a plan that are named one by one; more are shown as the first and the last.
const NAMED: usize = 12;

fn show(context: &Context, job: &GoldJob, plan: &Plan, parallel: usize) {
    let labels: Vec<String> = plan
        .to_build
        .iter()
        .map(|window| job.calendar.label(*window))
        .collect();
    let named = match labels.as_slice() {
        [] => "nothing".to_owned(),
        [first, .., last] if labels.len() > NAMED => format!("{first} … {last}"),
        labels => labels.join(", "),
    };
    let text = format!(
        "plan: {} finished and left out, {} to build, {parallel} at a time: {named}",
        plan.finished.len(),
        labels.len()
    );
    match context.output {
        out::Format::Text => out::line(text),
        out::Format::Json => tracing::info!("{text}"),
    }
}
