//! The command line: one file per command, each with its arguments and its `run`.

mod backfill;
mod check;
mod compile;
mod config;
mod connectors;
mod demo;
mod dlq;
mod engine;
mod gold;
mod ingest;
mod lineage;
mod manifest;
mod migrate;
mod new;
pub mod out;
mod plan;
mod replay;
mod resync;
mod retry;
mod runs;
mod schedule;
mod selection;
mod sql;
mod status;
mod types;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::Jobs;
use crate::shutdown::Shutdown;
use crate::{telemetry, tls};

/// Heading of the options that every command has.
const ANYWHERE: &str = "Options of every command";

/// Change events on Kafka into ClickHouse: silver continuously, gold window by window.
#[derive(Parser)]
#[command(
    name = "bullion",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Exit codes:
    0  done, also when there was nothing to do
    1  failed, worth a retry
    2  usage or configuration: a retry changes nothing
    3  some windows failed, or some dead letters again; the finished ones are kept
    4  an audit blocked the swap: readers keep the old rows; or silver differs from its source
   75  another process holds the lease, or the window's input is not complete yet
  130  SIGINT    143  SIGTERM

From nothing:
  bullion demo
From a table of PostgreSQL:
  bullion new connector · connectors apply · new silver · migrate · ingest · new gold · gold --date …
"
)]
pub struct Cli {
    /// Configuration file [default: bullion.toml, when it exists]
    #[arg(
        long,
        global = true,
        env = "BULLION_CONFIG",
        hide_env = true,
        value_name = "FILE",
        help_heading = ANYWHERE
    )]
    config: Option<PathBuf>,
    /// Result for people, or one JSON line as the very last output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = ANYWHERE)]
    output: out::Format,
    /// What is logged on stderr: error, warn, info, debug, or such as bullion=trace
    #[arg(
        long,
        global = true,
        env = "BULLION_LOG",
        hide_env = true,
        default_value = "info",
        value_name = "FILTER",
        help_heading = ANYWHERE
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

// In the order of use: it is the order of `bullion --help`.
#[derive(Subcommand)]
enum Command {
    /// See it work: change events become silver and gold tables, with no service installed
    Demo(demo::Args),
    /// Write a commented connector, silver job or gold job by looking at its source
    New(new::Args),
    /// Print which ClickHouse type holds which type of the source
    Types(types::Args),
    /// Register, watch or delete Debezium connectors through Kafka Connect
    Connectors(connectors::Args),
    /// Read the configuration and every job, and report all faults at once
    Check(check::Args),
    /// Create or extend the ops, silver and gold tables and views in ClickHouse
    Migrate(migrate::Args),
    /// Keep silver tables fresh from their topics, until a signal comes
    Ingest(ingest::Args),
    /// List, show, replay or discard messages that could not become rows
    Dlq(dlq::Args),
    /// Read a job's topic again and write the same rows under the same versions
    Replay(replay::Args),
    /// Hold silver against its source database, and repair what differs
    Verify(verify::Args),
    /// Build a silver table anew from its source, and put it in the old one's place at once
    Resync(resync::Args),
    /// Print the SQL of a gold job for a window, as it would run
    Compile(compile::Args),
    /// Show which windows of gold would be built, why, and what they would read
    Plan(plan::Args),
    /// Build windows of gold jobs
    Gold(gold::Args),
    /// Many windows of a gold job, or a range of a silver table from its source; started again, it goes on
    Backfill(backfill::Args),
    /// Build gold jobs by their cron lines, until a signal comes
    Schedule(schedule::Args),
    /// Show how every job stands: last built, gaps, stale, dirty and failing windows, runs
    Status(status::Args),
    /// List runs of gold, or show each window of one with its query and cost
    Runs(runs::Args),
    /// Build what a run left, failed or was blocked on
    Retry(retry::Args),
    /// Ask ClickHouse, the configured one or the demo's, one statement
    Sql(sql::Args),
    /// Show every setting that has a value, and with --origin where that came from
    Config(config::Args),
    /// Show what each gold table comes from, by jobs and by columns
    Lineage(lineage::Args),
    /// Print the gold jobs for other schedulers, as dags/ reads them
    Manifest(manifest::Args),
    /// ClickHouse's engine behind its HTTP interface, in the foreground
    #[command(hide = true)]
    Engine(engine::Args),
}

/// For a lease to be freed after that.
const LAST_WORD: Duration = Duration::from_millis(300);
/// After the drain deadline, by which whoever obeys the signal has ended, and before Airflow's kill after 5 s.
const LAST_RESORT: Duration = Duration::from_millis(4500);

/// What every command is given.
pub struct Context {
    pub config_file: Option<PathBuf>,
    pub output: out::Format,
    pub shutdown: Shutdown,
}

impl Context {
    pub fn config(&self) -> Result<Config> {
        Config::load(self.config_file.as_deref())
    }

    /// The configuration and all jobs, or every fault of both.
    pub fn declarations(&self) -> Result<(Config, Jobs)> {
        let config = self.config()?;
        let jobs = Jobs::load(&config)?;
        Ok((config, jobs))
    }
}

/// How a command ended when it did not fail outright: its exit code and its result line.
pub struct Outcome {
    pub exit: u8,
    pub result: Map<String, Value>,
}

impl Outcome {
    /// Exit 0 with `{"status": status, …}`.
    pub fn done(status: &str) -> Outcome {
        let mut result = Map::new();
        result.insert("status".to_owned(), Value::from(status));
        Outcome { exit: 0, result }
    }

    /// What was done so far, and why it ended: said on stderr, and part of the result line.
    #[must_use]
    pub fn failed(mut self, error: &Error) -> Outcome {
        out::complain(format!("error: {error}"));
        out::complain(format!("  next: {}", error.advice()));
        self.exit = error.kind().policy().exit;
        let exit = self.exit;
        self.with("status", "failed")
            .with("exit", exit)
            .with("error", error.to_string())
            .with("next", error.advice())
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Outcome {
        self.result.insert(key.to_owned(), value.into());
        self
    }
}

impl Cli {
    /// Runs the command to its end and gives the process's exit code.
    pub fn run(self) -> u8 {
        tls::install();
        telemetry::start(&self.log);
        let output = self.output;
        let is_engine = matches!(self.command, Command::Engine(_));
        let outcome = self.outcome();
        // the result is the last thing that is said, whatever still runs
        telemetry::end();
        let exit = match outcome {
            Ok(outcome) => {
                if output == out::Format::Json {
                    out::line(Value::Object(outcome.result).to_string());
                }
                outcome.exit
            }
            Err(error) => report(&error, output),
        };
        // its library is loaded into this process
        if is_engine {
            crate::shutdown::leave(exit);
        }
        exit
    }

    fn outcome(self) -> Result<Outcome> {
        // before any thread; the engine has an allocator of its own
        if !matches!(self.command, Command::Engine(_)) {
            crate::allocator::bound();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(Kind::Internal, "cannot start the runtime").because(error)
            })?;
        let outcome = runtime.block_on(async {
            let context = Context {
                config_file: self.config,
                output: self.output,
                shutdown: Shutdown::on_signals()?,
            };
            let overdue = overdue(context.shutdown.clone(), self.command.last_resort());
            tokio::select! {
                outcome = Box::pin(self.command.run(context)) => {
                    crate::lease::released().await;
                    outcome
                }
                late = overdue => {
                    // where a lease is may be silent, too
                    let _freed = tokio::time::timeout(LAST_WORD, crate::lease::released()).await;
                    Err(late)
                }
            }
        });
        // a query that hangs must not keep the process: its outcome is already told
        runtime.shutdown_background();
        outcome
    }
}

/// The signal has come, and what it asks for has not been done in time: a server that does not answer is not waited for.
async fn overdue(shutdown: Shutdown, last_resort: Option<Duration>) -> Error {
    let signal = shutdown.wait().await;
    match last_resort {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
    signal.error()
}

impl Command {
    /// How long after a signal a command is dropped where it stands, as if it were killed. One that only looks has nothing to
    /// bring to an end; the engine has queries of others.
    const fn last_resort(&self) -> Option<Duration> {
        match self {
            Command::Engine(_) => None,
            Command::Compile(_)
            | Command::Plan(_)
            | Command::Lineage(_)
            | Command::Runs(_)
            | Command::Status(_) => Some(Duration::ZERO),
            _ => Some(LAST_RESORT),
        }
    }

    async fn run(self, context: Context) -> Result<Outcome> {
        match self {
            Command::Check(args) => check::run(args, context),
            Command::Config(args) => config::run(args, context),
            Command::Demo(args) => demo::run(args, context).await,
            Command::Ingest(args) => ingest::run(args, context).await,
            Command::Connectors(args) => connectors::run(args, context).await,
            Command::New(args) => new::run(args, context).await,
            Command::Types(args) => Ok(types::run(&args, &context)),
            Command::Migrate(args) => migrate::run(args, context).await,
            Command::Dlq(args) => dlq::run(args, context).await,
            Command::Replay(args) => replay::run(args, context).await,
            Command::Verify(args) => verify::run(args, context).await,
            Command::Resync(args) => Box::pin(resync::run(args, context)).await,
            Command::Compile(args) => compile::run(args, context).await,
            Command::Plan(args) => plan::run(args, context).await,
            Command::Gold(args) => gold::run(args, context).await,
            Command::Backfill(args) => backfill::run(args, context).await,
            Command::Schedule(args) => schedule::run(args, context).await,
            Command::Lineage(args) => lineage::run(args, context).await,
            Command::Runs(args) => runs::run(args, context).await,
            Command::Status(args) => status::run(args, context).await,
            Command::Retry(args) => retry::run(args, context).await,
            Command::Manifest(args) => manifest::run(args, context),
            Command::Sql(args) => sql::run(args, context).await,
            Command::Engine(args) => engine::run(args, context).await,
        }
    }
}

/// Says what went wrong and what to do next, on stderr, and as the last line for `--output json`.
fn report(error: &Error, output: out::Format) -> u8 {
    let outcome = Outcome::done("").failed(error);
    if output == out::Format::Json {
        out::line(Value::Object(outcome.result).to_string());
    }
    outcome.exit
}

/// `--help`, `--version`, or a command line that makes no sense: the same manners as every other end.
pub fn explain(error: &clap::Error) -> u8 {
    // nobody may be listening
    let _ = error.print();
    let exit = u8::try_from(error.exit_code()).unwrap_or(2);
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--output=json")
        || arguments
            .windows(2)
            .any(|pair| pair == ["--output", "json"]);
    if json && exit != 0 {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let outcome = Outcome::done("failed")
            .with("exit", exit)
            .with("error", first);
        out::line(Value::Object(outcome.result).to_string());
    }
    exit
}
