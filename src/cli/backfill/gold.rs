//! Many windows of one gold job.

use serde_json::Value;

use super::super::gold::{Told, show_expansion};
use super::super::{Context, Outcome, out};
use super::{Args, PARALLEL};
use crate::backfill::{Order, Plan, plan};
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::gold::{Pace, Work};
use crate::job::{GoldJob, Jobs};
use crate::ledger::{Ledger, Run};
use crate::rate::Limit;

pub(super) async fn run(
    args: Args,
    context: Context,
    config: Config,
    jobs: &Jobs,
) -> Result<Outcome> {
    let selected = jobs.select_gold(std::slice::from_ref(&args.job))?;
    let Some((job, windows)) = args.range.windows(&selected)?.pop() else {
        return Ok(Outcome::done("noop"));
    };
    show_expansion(&context, job, &windows);
    let clickhouse = crate::gold::connect(&config, jobs, &context.shutdown).await?;
    let ledger = Ledger::new(&clickhouse, &config.clickhouse.ops, &job.name);
    let mut plan = plan(&ledger, job, &windows, args.rebuild).await?;
    if args.order == Order::Newest {
        plan.to_build.reverse();
    }
    let parallel = usize::from(args.parallel.unwrap_or(PARALLEL));
    show(&context, job, &plan, &at_a_time(parallel, args.rate));
    if args.dry_run {
        return Ok(outcome("planned", job, &plan));
    }
    let work = Work {
        job,
        windows: &plan.to_build,
        pace: Pace {
            parallel,
            rate: args.rate,
        },
        run: Run::new(&job.name, "backfill"),
        terminal: out::is_terminal(),
    };
    let mut told = Told::of(&work.run);
    // with nothing left to build a window that a crash left in mid-swap is still repaired
    let result = work.perform(&clickhouse, &config, &context.shutdown).await;
    match result {
        Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => Err(error),
        result => {
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

fn at_a_time(parallel: usize, rate: Option<Limit>) -> String {
    match rate {
        None => format!("{parallel} at a time"),
        Some(rate) => format!("{parallel} at a time, no more than {rate}"),
    }
}

fn show(context: &Context, job: &GoldJob, plan: &Plan, pace: &str) {
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
        "plan: {} finished and left out, {} to build, {pace}: {named}",
        plan.finished.len(),
        labels.len()
    );
    match context.output {
        out::Format::Text => out::line(text),
        out::Format::Json => tracing::info!("{text}"),
    }
}
