//! `bullion demo`: the whole way from change events to gold, with no service installed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Context, Outcome, out};
use crate::demo::folder::{self, Folder};
use crate::demo::{self, Killed, Report, Request, Step};
use crate::embedded::engine::running_on;
use crate::error::{Error, Kind, Result};

/// An engine gives running queries 5 s when it is told to stop.
const STOP: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
#[command(after_help = "\
The engine stops at the end; the tables stay in the folder, and `bullion sql` starts it again.
Delete the folder to start afresh.")]
pub struct Args {
    /// Folder of everything the demo makes; it survives restarts
    #[arg(long, value_name = "DIR", default_value = folder::DEFAULT)]
    data: PathBuf,
    /// Leave the engine running and say how to reach it
    #[arg(long)]
    keep: bool,
    /// Replay once more while the ingester is killed with -9, and compare the checksums
    #[arg(long)]
    chaos: bool,
    /// Stop an engine that an earlier run kept, and do nothing else
    #[arg(long, conflicts_with_all = ["keep", "chaos"])]
    stop: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    if args.stop {
        return stop(&args.data, &context).await;
    }
    let begun = Instant::now();
    let text = context.output == out::Format::Text;
    let tell = |step: &Step| {
        if text {
            out::line(format!("{:7.2} s  {}", step.took.as_secs_f64(), step.what));
        }
    };
    let request = Request {
        data: args.data.clone(),
        chaos: args.chaos,
    };
    let report = tokio::select! {
        report = demo::run(request, tell) => report?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    if text {
        out::line(format!("{:7.2} s  in all\n", begun.elapsed().as_secs_f64()));
        show(&report);
    }
    let mut outcome = outcome(&report).with("seconds", begun.elapsed().as_secs_f64());
    let call = Call::of(&args.data);
    let (url, password) = (
        report.engine.url.clone(),
        report.folder.password_file().display().to_string(),
    );
    let kept = args.keep || !report.engine.is_ours();
    if kept {
        outcome = outcome
            .with("url", url.as_str())
            .with("user", "default")
            .with("password_file", password.as_str())
            .with("pid", report.engine.pid);
        report.engine.keep();
    } else {
        report.engine.stop().await?;
    }
    if text {
        call.suggest();
        if kept {
            out::line(format!(
                "\nThe engine runs at {url}, user default, password in {password}"
            ));
            out::line(format!(
                "Stop it:  {} demo --stop{}",
                call.binary, call.data
            ));
        }
    }
    Ok(outcome)
}

fn outcome(report: &Report) -> Outcome {
    let tables: Map<String, Value> = report
        .tables
        .iter()
        .map(|(name, rows)| (name.clone(), Value::from(*rows)))
        .collect();
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| json!({"step": step.what, "seconds": step.took.as_secs_f64()}))
        .collect();
    let killed: Vec<Value> = report
        .killed
        .iter()
        .map(|killed| json!({"durable": killed.durable, "committed": killed.committed}))
        .collect();
    Outcome::done("done")
        .with("epoch", report.epoch)
        .with("answers", report.answers)
        .with("checksum", report.checksum.as_str())
        .with("tables", tables)
        .with("days", report.days.clone())
        .with("killed", killed)
        .with("steps", steps)
}

fn show(report: &Report) {
    for (life, killed) in report.killed.iter().enumerate() {
        let Killed { durable, committed } = killed;
        out::line(format!(
            "kill -9 no. {}: flights durable up to {durable}, committed up to {committed}",
            life + 1
        ));
    }
    if !report.killed.is_empty() {
        out::line(format!(
            "silver's checksum is {} with and without the kills\n",
            report.checksum
        ));
    }
    let tables = report.tables.iter();
    out::table(
        &["table", "rows"],
        tables.map(|(name, rows)| vec![name.clone(), rows.to_string()]),
    );
    out::line("\nFlights out of New York, from gold.flights_by_day; the blizzard came on the 8th:");
    let columns = ["day", "flights", "cancelled", "mean_delay"];
    let cell = |row: &Map<String, Value>, column: &str| match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let rows = report.days.iter();
    out::table(
        &["day", "flights", "cancelled", "mean delay (min)"],
        rows.map(|row| columns.iter().map(|column| cell(row, column)).collect()),
    );
    out::line(format!(
        "\nAll {} answers that were compared equal PostgreSQL's.",
        report.answers
    ));
}

/// How the user called us, for commands that are to be pasted.
struct Call {
    binary: String,
    data: String,
}

impl Call {
    fn of(data: &Path) -> Call {
        let binary = std::env::args().next();
        let data = if data == Path::new(folder::DEFAULT) {
            String::new()
        } else {
            format!(" --data '{}'", data.display())
        };
        Call {
            binary: binary.unwrap_or_else(|| String::from("bullion")),
            data,
        }
    }

    fn suggest(&self) {
        out::line("\nWhat to ask next:");
        for sql in [
            "SELECT name, sum(cancelled) AS cancelled FROM gold.carrier_delays_by_day GROUP BY name ORDER BY 2 DESC LIMIT 5",
            "SELECT dest, count() AS flights, avg(arr_delay) FROM silver.flights GROUP BY dest ORDER BY flights DESC LIMIT 5",
            "SELECT window_from, state, rows FROM ops.windows ORDER BY 1",
        ] {
            out::line(format!("  {} sql{} \"{sql}\"", self.binary, self.data));
        }
    }
}

async fn stop(data: &Path, context: &Context) -> Result<Outcome> {
    let running = match Folder::existing(data) {
        Some(folder) => running_on(&folder.engine_data())
            .await
            .map(|(_, pid)| (folder, pid)),
        None => None,
    };
    let Some((folder, pid)) = running else {
        if context.output == out::Format::Text {
            out::line(format!("no engine runs on {}", data.display()));
        }
        return Ok(Outcome::done("noop"));
    };
    let process = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(process) = process {
        // one that has ended by itself is what we want
        let _gone = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    let deadline = Instant::now() + STOP;
    while process.is_some_and(|process| rustix::process::test_kill_process(process).is_ok()) {
        if Instant::now() > deadline {
            let message = format!("the engine (pid {pid}) does not stop");
            return Err(Error::new(Kind::Internal, message).advise(format!("kill -9 {pid}")));
        }
        tokio::time::sleep(LOOK).await;
    }
    if context.output == out::Format::Text {
        out::line(format!("stopped the engine on {}", folder.path().display()));
    }
    Ok(Outcome::done("stopped").with("pid", pid))
}
