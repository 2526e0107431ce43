//! A user's project: a folder of jobs, an environment, and `bullion` run in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Engine, stack, without_stack};

pub struct Project {
    pub name: String,
    pub engine: Engine,
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Project {
    /// Databases `<name>_silver`, `<name>_gold`, `<name>_ops` (dropped first) and group `<name>`.
    pub async fn new(name: &str, engine: &Engine) -> Project {
        let mut environment = BTreeMap::new();
        let mut set = |variable: &str, value: String| {
            environment.insert(variable.to_owned(), value);
        };
        for layer in ["silver", "gold", "ops"] {
            let database = format!("{name}_{layer}");
            engine
                .ask(&format!("DROP DATABASE IF EXISTS {database}"))
                .await
                .unwrap();
            set(
                &format!("BULLION_CLICKHOUSE_{}", layer.to_uppercase()),
                database,
            );
        }
        set("BULLION_KAFKA_BROKERS", stack("BULLION_KAFKA_BROKERS"));
        // a run of yesterday's test left offsets of yesterday's topics behind
        set(
            "BULLION_KAFKA_GROUP",
            format!("{name}-{}", std::process::id()),
        );
        set("BULLION_CLICKHOUSE_URL", engine.url.clone());
        set("BULLION_CLICKHOUSE_USER", engine.user.clone());
        set("BULLION_CLICKHOUSE_PASSWORD", engine.password.clone());
        set("NO_COLOR", "1".to_owned());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("jobs/silver")).unwrap();
        std::fs::create_dir_all(folder.path().join("jobs/gold")).unwrap();
        std::fs::write(folder.path().join("bullion.toml"), "").unwrap();
        Project {
            name: name.to_owned(),
            engine: engine.clone(),
            folder,
            environment,
        }
    }

    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment
            .insert(variable.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, variable: &str) {
        self.environment.remove(variable);
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bullion"));
        without_stack(&mut command);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(&self.environment);
        command
    }

    /// Runs to the end, whatever the exit code.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended(self.command(arguments).output().unwrap())
    }

    /// Runs to the end and insists on exit code 0.
    pub fn succeed(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code(), 0, "bullion {arguments:?}\n{}", ended.text());
        ended
    }

    /// Starts a command that goes on; its log is kept in the project's folder.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.path("log"))
            .unwrap();
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Running(child)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Database of a layer: `silver`, `gold` or `ops`.
    pub fn database(&self, layer: &str) -> String {
        format!("{}_{layer}", self.name)
    }
}

impl Drop for Project {
    /// A failing test shows what its background commands said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_TAIL);
            let _ = std::io::stderr().write_all(&log.as_bytes()[from..]);
        }
    }
}

/// Bytes of the log that are worth showing.
const LOG_TAIL: usize = 6_000;

pub struct Ended(Output);

impl Ended {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn text(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// The last line of stdout, as `--output json` promises it.
    pub fn json(&self) -> Value {
        let stdout = self.stdout();
        let last = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {stdout}\n{}", self.stderr()))
    }
}

/// Killed when dropped, so that a failing test leaves nothing behind.
pub struct Running(Child);

impl Running {
    /// kill -9.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status();
        assert!(done.unwrap().success());
    }

    /// Waits for the end; gives the exit code (128 + signal where a signal ended it).
    pub fn wait(&mut self, deadline: Duration) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let until = std::time::Instant::now() + deadline;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(
                std::time::Instant::now() < until,
                "still running after {deadline:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bytes that were resident at most.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // already ended: nothing to kill
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
