//! The demo's steps are this binary's own commands, run as child processes that are told everything by environment.

use std::ffi::OsString;
use std::fs::File;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use super::folder::{Engine, Folder, program};
use crate::embedded::kafka::CONSUMER_PROPERTIES;
use crate::error::{Error, Kind, Result};

/// The consumer group of the demo's ingester.
pub const GROUP: &str = "bullion-demo";
/// Variables that a child keeps from our own environment: they say where the engine is and what is logged.
const PASSED_ON: [&str; 3] = ["BULLION_LIBCHDB", "BULLION_CACHE", "BULLION_LOG"];

/// What every command of one replay is told.
pub struct Commands<'a> {
    pub folder: &'a Folder,
    pub engine: &'a Engine,
    /// of the mock cluster
    pub brokers: &'a str,
}

impl Commands<'_> {
    /// Runs `bullion NAME ARGUMENTS --output json` to its end and gives its result line.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> Result<Value> {
        // not `output()`, which would take stderr away from the log
        let child = self
            .command(name, arguments)?
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(name, error))?;
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| cannot_start(name, error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result: Value = text
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_default();
        if output.status.success() {
            return Ok(result);
        }
        let said = result["error"].as_str().unwrap_or("it said nothing");
        let message = format!("bullion {name} ended with {}: {said}", output.status);
        let log = self.folder.log_file(name);
        Err(Error::new(Kind::Internal, message).advise(format!("see {}", log.display())))
    }

    /// Starts the command and leaves it running; it is killed with -9 when dropped.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Result<Child> {
        self.command(name, arguments)?
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| cannot_start(name, error))
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Result<Command> {
        let log = self.folder.log_file(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| {
                Error::new(Kind::File, format!("cannot write {}", log.display())).because(error)
            })?;
        let mut command = Command::new(program()?);
        command
            .args(["--output", "json", name])
            .args(arguments)
            // no bullion.toml of the user's lies here
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("BULLION_") && !PASSED_ON.contains(&text.as_ref()) {
                command.env_remove(&variable);
            }
        }
        for (variable, value) in self.environment() {
            command.env(variable, value);
        }
        Ok(command)
    }

    fn environment(&self) -> [(&'static str, OsString); 8] {
        [
            ("BULLION_JOBS", self.folder.jobs().into()),
            ("BULLION_KAFKA_BROKERS", self.brokers.into()),
            ("BULLION_KAFKA_GROUP", GROUP.into()),
            ("BULLION_KAFKA_PROPERTIES", CONSUMER_PROPERTIES.into()),
            ("BULLION_CLICKHOUSE_URL", self.engine.url.clone().into()),
            ("BULLION_CLICKHOUSE_USER", "default".into()),
            (
                "BULLION_CLICKHOUSE_PASSWORD_FILE",
                self.folder.password_file().into(),
            ),
            (
                "BULLION_LEASE_FOLDER",
                self.folder.path().join("leases").into(),
            ),
        ]
    }
}

fn cannot_start(name: &str, error: std::io::Error) -> Error {
    Error::new(Kind::Internal, format!("cannot start bullion {name}")).because(error)
}
