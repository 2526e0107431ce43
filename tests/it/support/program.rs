//! The binary: what one run of it said, and one that goes on.

use std::process::{Child, Command, Output};
use std::time::Duration;

use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_bullion");

/// Where the engine's library lies is the only thing that the outside says.
const LIBRARY: [&str; 2] = ["BULLION_LIBCHDB", "BULLION_CACHE"];

/// The stack's own variables are for the test: in a project's environment they would win over its files.
pub fn without_stack(command: &mut Command) {
    let ours = |name: &String| name.starts_with("BULLION_") && !LIBRARY.contains(&name.as_str());
    for variable in std::env::vars().map(|(name, _)| name).filter(ours) {
        command.env_remove(variable);
    }
}

/// What one run of the binary did.
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs to the end, whatever the exit code, while the test's other futures go on.
    pub async fn of(mut command: Command) -> Ran {
        let output = tokio::task::spawn_blocking(move || command.output());
        Ran::from(output.await.unwrap().unwrap())
    }

    /// Passes the run on when it ended like this; else shows what it said.
    #[track_caller]
    pub fn exits(self, exit: i32) -> Ran {
        assert_eq!(self.exit, exit, "{}\n{}", self.stdout, self.stderr);
        self
    }

    pub fn text(&self) -> String {
        self.stdout.clone() + &self.stderr
    }

    /// The result: the very last line of stdout, as `--output json` promises it.
    #[track_caller]
    pub fn json(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The kernel's letter for it, such as `T` for stopped and `Z` for dead and not reaped; `None` once it is gone.
pub fn process_state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name before it may hold spaces and parentheses
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

/// Killed when dropped, so that a failing test leaves nothing behind.
pub struct Running(pub Child);

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
