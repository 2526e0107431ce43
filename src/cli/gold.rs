//! `bullion gold`: builds windows of gold jobs, each job after those it depends on.

mod audits;
mod due;
mod range;

use chrono::Utc;
use serde_json::{Value, json};

pub use due::show as show_named;
pub use due::{DueArgs, Look};
pub use range::RangeArgs;

use super::selection::Selection;
use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::freshness::{self, Freshness};
use crate::gold::{Pace, Summary, Work, ending};
use crate::job::{Dependency, GoldJob};
use crate::ledger::Run;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion gold orders_by_day --date 2025-03-01
  bullion gold orders_by_day --from 2025-03-01 --to 2025-04-01        the 31 days of March
  bullion gold orders_by_day --from 2025-03-01 --through 2025-03-31   the same
  bullion gold --last 7d                                              every job
  bullion gold customers_now                                          a whole table has no range
  bullion gold --dirty                                                what silver changed since it was built
  bullion gold --missing --dirty                                      and what was never built, failed, or is of an older SQL

Dates mean the job's zone; instants such as 2025-03-01T00:00:00Z have to be edges of a window.
A window is replaced as a whole: built twice, it is the same.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    due: due::DueArgs,
    /// Exit 75 where a source has not passed the end of the windows yet, as `bullion schedule` would wait
    #[arg(long)]
    if_complete: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, declared) = context.declarations()?;
    let jobs = args.selection.gold(&declared)?;
    if jobs.is_empty() {
        return Err(Error::new(Kind::Config, "there is no gold job to build")
            .advise("`bullion new gold NAME` writes one"));
    }
    // every range is resolved before any SQL
    let plan = ranges(&args.range, &args.due, &jobs)?;
    for (job, windows) in &plan {
        if let (Some(windows), false) = (windows, args.due.is_given()) {
            show_expansion(&context, job, windows);
        }
    }
    let clickhouse = crate::gold::connect(&config, &declared, &context.shutdown).await?;
    let look = Look {
        clickhouse: &clickhouse,
        config: &config,
        declared: &declared,
        limits: args.range.limits(),
        wish: args.due.wish(),
    };
    // one run, whatever the number of jobs
    let run = Run {
        search: args.due.search(look.limits),
        ..Run::new("", "gold")
    };
    let mut told = Told::of(&run);
    for (job, range) in plan {
        if told.failed_dependency(job).is_some() {
            // a retry of this run builds them
            let windows = range.unwrap_or_default();
            let work = work(job, &windows, &run);
            told.build(work, &clickhouse, &config, &context.shutdown)
                .await?;
            continue;
        }
        // what is due is known only when the jobs before this one are built
        let windows = match (args.due.is_given(), range) {
            (false, Some(windows)) => windows,
            (_, range) => {
                let due = look.at(job, range.as_deref(), &[]).await?;
                let due = crate::due::to_build(&due);
                due::show(&context, job, &due);
                due
            }
        };
        if windows.is_empty() {
            told.note(job, Ok(Summary::default()));
            continue;
        }
        let windows = &windows;
        if let (true, Some(last)) = (args.if_complete, windows.last()) {
            let input = job.calendar.input_of(*last, Utc::now());
            let found = freshness::of_window(&clickhouse, &config, &declared, job, input).await?;
            if let Freshness::Waiting(what) = found {
                let message = format!("gold job {} was not built: {what}", job.name);
                let work = work(job, windows, &run);
                let why = Error::new(Kind::NotFresh, message);
                told.give_up(work, why, &clickhouse, &config).await?;
                continue;
            }
        }
        let work = work(job, windows, &run);
        told.build(work, &clickhouse, &config, &context.shutdown)
            .await?;
    }
    told.outcome(&context)
}

/// A job with the windows of a range; none where what is due is meant and no range bounds it.
type Ranged<'j> = (&'j GoldJob, Option<Vec<Window>>);

/// One for each job.
pub fn ranges<'j>(
    range: &RangeArgs,
    due: &DueArgs,
    jobs: &'j [GoldJob],
) -> Result<Vec<Ranged<'j>>> {
    if due.is_given() && !range.is_given() {
        return Ok(jobs.iter().map(|job| (job, None)).collect());
    }
    let given = range.windows(jobs)?.into_iter();
    Ok(given.map(|(job, windows)| (job, Some(windows))).collect())
}

/// One job's share of a command.
pub fn work<'a>(job: &'a GoldJob, windows: &'a [Window], run: &Run) -> Work<'a> {
    Work {
        job,
        windows,
        pace: Pace::ONE,
        run: run.on(&job.name),
        terminal: out::is_terminal(),
    }
}

/// The expansion, before anything runs.
pub fn show_expansion(context: &Context, job: &GoldJob, windows: &[Window]) {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return;
    };
    let calendar = job.calendar;
    let text = match job.is_whole_table() {
        true => format!("{}: the whole table", job.name),
        false => format!(
            "{}: {} window{} of one {} in {}, [{}, {})",
            job.name,
            windows.len(),
            if windows.len() == 1 { "" } else { "s" },
            calendar.grain,
            calendar.zone,
            calendar.show(first.from),
            calendar.show(last.to)
        ),
    };
    match context.output {
        out::Format::Text => out::line(text),
        out::Format::Json => tracing::info!("{text}"),
    }
}

/// What is told at the end: a line for each job, and the worst of their exits.
pub struct Told {
    run: String,
    jobs: Vec<Value>,
    total: Summary,
    failed: Vec<(String, Kind)>,
    errors: Vec<Error>,
}

impl Told {
    pub fn of(run: &Run) -> Told {
        Told {
            run: run.id.clone(),
            jobs: Vec::new(),
            total: Summary::default(),
            failed: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Why a job need not be tried. It has failed as the one it waits for did: a retry would help it as little.
    pub fn failed_dependency(&self, job: &GoldJob) -> Option<Error> {
        let (dependency, kind) = job.depends_on.iter().find_map(|dependency| {
            let Dependency::Gold(wanted) = dependency else {
                return None;
            };
            let (_, kind) = self.failed.iter().find(|(name, _)| name == wanted)?;
            Some((dependency, *kind))
        })?;
        let message = format!(
            "gold job {} was not built: {dependency} it depends on failed",
            job.name
        );
        let error = Error::new(kind, message);
        Some(error.advise("mend that one first, then run the same command again"))
    }

    /// Builds one job's windows, unless one that it depends on failed; an error is a signal.
    pub async fn build(
        &mut self,
        work: Work<'_>,
        clickhouse: &ClickHouse,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<()> {
        if let Some(error) = self.failed_dependency(work.job) {
            return self.give_up(work, error, clickhouse, config).await;
        }
        match work.perform(clickhouse, config, shutdown).await {
            Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => {
                return Err(error);
            }
            result => self.note(work.job, result),
        }
        Ok(())
    }

    /// The run's history has the job as well: a retry of the run builds it before those that wait for it.
    async fn give_up(
        &mut self,
        work: Work<'_>,
        why: Error,
        clickhouse: &ClickHouse,
        config: &Config,
    ) -> Result<()> {
        let result = Err(why);
        let ended = ending(work.windows.len(), &result);
        let ops = &config.clickhouse.ops;
        work.give_up(clickhouse, ops, &ended).await?;
        self.note(work.job, result);
        Ok(())
    }

    pub fn note(&mut self, job: &GoldJob, result: Result<Summary>) {
        match result {
            Ok(summary) => {
                self.jobs.push(json!({
                    "job": job.name, "windows": summary.windows, "built": summary.built, "unchanged": summary.unchanged,
                    "blocked": summary.blocked, "failed": summary.failed, "rows": summary.rows,
                    "read_rows": summary.read_rows, "warnings": summary.warnings().count(),
                    "audits": audits::described(job, &summary.findings),
                }));
                self.total.windows += summary.windows;
                self.total.built += summary.built;
                self.total.unchanged += summary.unchanged;
                self.total.blocked += summary.blocked;
                self.total.failed += summary.failed;
                self.total.rows += summary.rows;
                if let Some(error) = summary.into_error() {
                    self.failed.push((job.name.clone(), error.kind()));
                    self.errors.push(error);
                }
            }
            Err(error) => {
                self.jobs
                    .push(json!({"job": job.name, "error": error.to_string()}));
                self.failed.push((job.name.clone(), error.kind()));
                self.errors.push(error);
            }
        }
    }

    /// One kind of failure keeps its exit code, and so do those that mean "later" together; different ones, or failures
    /// beside successes, are "some windows failed".
    pub fn outcome(self, context: &Context) -> Result<Outcome> {
        if context.output == out::Format::Text {
            for job in &self.jobs {
                out::line(sentence(job));
                audits::show(job);
            }
        }
        let mut kinds: Vec<Kind> = self.errors.iter().map(Error::kind).collect();
        kinds.dedup_by_key(|kind| kind.policy().exit);
        for error in &self.errors {
            super::out::complain(format!("error: {error}"));
            super::out::complain(format!("  next: {}", error.advice()));
        }
        if self.total.failed + self.total.blocked > 0 {
            let run = &self.run;
            super::out::complain(format!("  only what is left: bullion retry {run}"));
        }
        let some_stand = self.jobs.len() > self.errors.len();
        let (status, exit) = match kinds.as_slice() {
            [] if self.total.built == 0 => ("noop", 0),
            [] => ("done", 0),
            [kind]
                if !some_stand
                    || matches!(kind, Kind::AuditBlocked | Kind::LeaseHeld | Kind::NotFresh) =>
            {
                ("failed", kind.policy().exit)
            }
            _ => ("partial", Kind::WindowsFailed.policy().exit),
        };
        let mut outcome = Outcome::done(status)
            .with("run", self.run)
            .with("windows", self.total.windows)
            .with("built", self.total.built)
            .with("unchanged", self.total.unchanged)
            .with("blocked", self.total.blocked)
            .with("failed", self.total.failed)
            .with("rows", self.total.rows)
            .with("jobs", self.jobs);
        if let Some(error) = self.errors.first() {
            outcome = outcome.with("exit", exit).with("error", error.to_string());
        }
        outcome.exit = exit;
        Ok(outcome)
    }
}

fn sentence(job: &Value) -> String {
    let name = job["job"].as_str().unwrap_or_default();
    if job.get("error").is_some() {
        return format!("{name}: not built");
    }
    let figure = |key: &str| job[key].as_u64().unwrap_or_default();
    let mut text = format!(
        "{name}: {} built, {} unchanged",
        figure("built"),
        figure("unchanged")
    );
    for key in ["blocked", "failed", "warnings"] {
        match figure(key) {
            0 => {}
            1 if key == "warnings" => text.push_str(", 1 warning"),
            number => text.push_str(&format!(", {number} {key}")),
        }
    }
    format!("{text}, {} rows", figure("rows"))
}
