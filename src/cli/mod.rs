//! The command line: one file per command, each with its arguments and its `run`.

mod backfill;
mod check;
mod config;
mod connectors;
mod demo;
mod engine;
mod gold;
mod ingest;
mod manifest;
mod migrate;
mod new;
pub mod out;
mod schedule;
mod sql;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::Jobs;
use crate::shutdown::Shutdown;
use crate::{telemetry, tls};

/// Change events on Kafka into ClickHouse: silver continuously, gold window by window.
#[derive(Parser)]
#[command(
    name = "bullion",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done · 1 failed, worth a retry · 2 usage or configuration · 3 some windows failed · \
4 an audit blocked the swap · 75 lease held or not fresh yet · 99 skipped on request · 130/143 signal"
)]
pub struct Cli {
    /// Configuration file [default: bullion.toml, when it exists]
    #[arg(long, global = true, env = "BULLION_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Result for people, or one JSON line as the very last output
    #[arg(long, global = true, value_enum, default_value_t)]
    output: out::Format,
    /// What is logged on stderr, such as info, debug or bullion=trace
    #[arg(
        long,
        global = true,
        env = "BULLION_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load the configuration and every job, and report all faults at once
    Check(check::Args),
    /// Show the configuration
    Config(config::Args),
    /// See it work: change events become silver and gold tables, with no service installed
    Demo(demo::Args),
    /// Read silver topics into ClickHouse
    Ingest(ingest::Args),
    /// Register and watch Debezium connectors through Kafka Connect
    Connectors(connectors::Args),
    /// Write a commented job by looking at its source
    New(new::Args),
    /// Create or extend the ops, silver and gold objects in ClickHouse
    Migrate(migrate::Args),
    /// Build windows of gold jobs
    Gold(gold::Args),
    /// Build many windows of one gold job, leaving out those that are finished
    Backfill(backfill::Args),
    /// Run gold jobs by their cron lines until a signal comes
    Schedule(schedule::Args),
    /// What the gold jobs are, for schedulers
    Manifest(manifest::Args),
    /// Ask the configured ClickHouse, or the demo's, one statement
    Sql(sql::Args),
    /// ClickHouse's engine behind its HTTP interface, in the foreground
    #[command(hide = true)]
    Engine(engine::Args),
}

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
        match self.outcome() {
            Ok(outcome) => {
                if output == out::Format::Json {
                    out::line(Value::Object(outcome.result).to_string());
                }
                outcome.exit
            }
            Err(error) => report(&error, output),
        }
    }

    fn outcome(self) -> Result<Outcome> {
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
            self.command.run(context).await
        });
        // a query that hangs must not keep the process: its outcome is already told
        runtime.shutdown_background();
        outcome
    }
}

impl Command {
    async fn run(self, context: Context) -> Result<Outcome> {
        match self {
            Command::Check(args) => check::run(args, context),
            Command::Config(args) => config::run(args, context),
            Command::Demo(args) => demo::run(args, context).await,
            Command::Ingest(args) => ingest::run(args, context).await,
            Command::Connectors(args) => connectors::run(args, context).await,
            Command::New(args) => new::run(args, context).await,
            Command::Migrate(args) => migrate::run(args, context).await,
            Command::Gold(args) => gold::run(args, context).await,
            Command::Backfill(args) => backfill::run(args, context).await,
            Command::Schedule(args) => schedule::run(args, context).await,
            Command::Manifest(args) => manifest::run(args, context),
            Command::Sql(args) => sql::run(args, context).await,
            Command::Engine(args) => engine::run(args, context).await,
        }
    }
}

/// Says what went wrong and what to do next, on stderr, and as the last line for `--output json`.
fn report(error: &Error, output: out::Format) -> u8 {
    let exit = error.kind().policy().exit;
    out::complain(format!("error: {error}"));
    out::complain(format!("  next: {}", error.advice()));
    if output == out::Format::Json {
        let outcome = Outcome::done("failed")
            .with("exit", exit)
            .with("error", error.to_string())
            .with("next", error.advice());
        out::line(Value::Object(outcome.result).to_string());
    }
    exit
}
