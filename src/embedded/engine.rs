//! The engine as somebody's child process: started, waited for, stopped, and killed when dropped.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server;
use crate::error::{Error, Kind, Result};

/// A cold start takes 0.3 s; a machine at its limits may need far longer.
const START: Duration = Duration::from_secs(60);
/// After SIGTERM; the engine itself gives its queries up to 5 s.
const STOP: Duration = Duration::from_secs(10);
/// The one user of an engine that we start.
const USER: &str = "default";
const POLL: Duration = Duration::from_millis(20);
/// An engine that does not answer /ping in this time does not run.
const PING: Duration = Duration::from_secs(2);

/// A running engine. Dropped without `stop`, it is killed (kill -9 loses nothing that was acknowledged).
pub struct Child {
    process: Option<Process>,
    pub url: String,
    pub user: String,
    pub password: SecretString,
    pub data: PathBuf,
}

impl Child {
    /// The engine that runs on `data` already (left behind by `detach`), or a new one.
    pub async fn attach_or_start(program: &Path, data: &Path) -> Result<Child> {
        match running_on(data).await {
            Some((url, _)) => Ok(Child {
                process: None,
                url,
                user: String::from(USER),
                password: password_of(data)?,
                data: data.to_path_buf(),
            }),
            None => Child::start(program, data).await,
        }
    }

    /// Starts `program engine` (usually [`std::env::current_exe`]) on a free port and waits until it answers.
    /// It ends with this process, however that ends, unless it is detached.
    ///
    /// A `clickhouse` binary on PATH is used instead of libchdb, by `clickhouse server` with a minimal
    /// configuration (that way is not run here: no registry has the binary).
    pub async fn start(program: &Path, data: &Path) -> Result<Child> {
        std::fs::create_dir_all(data).map_err(|source| cannot_write(data, source))?;
        Child::start_with(program, data, password_of(data)?).await
    }

    /// As `start`, with a password of the caller's choice.
    pub async fn start_with(program: &Path, data: &Path, password: SecretString) -> Result<Child> {
        std::fs::create_dir_all(data).map_err(|source| cannot_write(data, source))?;
        let log_path = data.join("engine.log");
        let log =
            std::fs::File::create(&log_path).map_err(|source| cannot_write(&log_path, source))?;
        let mut command = match server::binary() {
            Some(binary) => server::command(&binary, data, &password)?,
            None => {
                // found missing now, its error says how to install it
                super::library::find(None)?;
                let mut command = Command::new(program);
                command
                    .args([
                        "engine",
                        "--with-starter",
                        "--listen",
                        "127.0.0.1:0",
                        "--data",
                    ])
                    .arg(data)
                    .env_remove("BULLION_ENGINE_PASSWORD_FILE")
                    .env("BULLION_ENGINE_USER", USER)
                    .env("BULLION_ENGINE_PASSWORD", password.expose_secret());
                command
            }
        };
        let announcement = data.join("engine.json");
        let process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for us: the engine stops when we say so, after our last write
            .process_group(0)
            .spawn()
            .map_err(|source| {
                Error::new(Kind::File, "cannot start the embedded engine").because(source)
            })?;
        let mut child = Child {
            process: Some(process),
            url: String::new(),
            user: String::from(USER),
            password,
            data: data.to_path_buf(),
        };
        child.url = child.wait_until_ready(&announcement, &log_path).await?;
        Ok(child)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// SIGTERM, then SIGKILL when it takes too long.
    pub async fn stop(mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        signal(&process, Signal::TERM);
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if !matches!(process.try_wait(), Ok(None)) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        kill(&mut process);
        Ok(())
    }

    /// kill -9, for tests of what survives it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            kill(&mut process);
        }
    }

    /// Leaves the engine running on its own (`--keep`) and returns its process id.
    pub fn detach(mut self) -> Option<u32> {
        let mut process = self.process.take()?;
        if let Some(mut stdin) = process.stdin.take() {
            // an engine that is gone already needs no word
            let _gone = stdin.write_all(b"\n");
        }
        Some(process.id())
    }

    async fn wait_until_ready(&mut self, announcement: &Path, log: &Path) -> Result<String> {
        let pid = self.pid();
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(process) = &mut self.process
                && let Ok(Some(status)) = process.try_wait()
            {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let message = format!("the embedded engine ended at once ({status})");
                return Err(Error::new(Kind::Unreachable, message).because(last_lines(&said)));
            }
            if let Some((url, writer)) = announced(announcement)
                && Some(writer) == pid
                && answers(&url).await
            {
                return Ok(url);
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::new(
            Kind::Unreachable,
            format!(
                "the embedded engine did not answer within {} s",
                START.as_secs()
            ),
        )
        .advise(format!("see {}", log.display())))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            kill(process);
        }
    }
}

/// URL and process of an engine that runs on `data`, if one does: for `bullion sql` beside `--keep`.
pub async fn running_on(data: &Path) -> Option<(String, u32)> {
    let (url, pid) = announced(&data.join("engine.json"))?;
    answers(&url).await.then_some((url, pid))
}

/// The folder's own password, made at its first use and readable by its owner alone.
pub fn password_of(data: &Path) -> Result<SecretString> {
    let file = data.join("engine.password");
    let made = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut new| new.write_all(uuid::Uuid::new_v4().simple().to_string().as_bytes()));
    match made {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            return Err(cannot_write(&file, source));
        }
        _ => {}
    }
    let text = std::fs::read_to_string(&file).map_err(|source| {
        Error::new(Kind::File, format!("cannot read {}", file.display())).because(source)
    })?;
    Ok(SecretString::from(text))
}

fn announced(file: &Path) -> Option<(String, u32)> {
    let text = std::fs::read(file).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let url = value.get("url")?.as_str()?.to_owned();
    let pid = value.get("pid")?.as_u64()?;
    Some((url, u32::try_from(pid).ok()?))
}

/// One line of HTTP, so that a library or a proxy between cannot answer for the engine.
async fn answers(url: &str) -> bool {
    let ping = async {
        let mut socket = TcpStream::connect(url.strip_prefix("http://")?)
            .await
            .ok()?;
        let request = b"GET /ping HTTP/1.0\r\n\r\n";
        socket.write_all(request).await.ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok()?;
        Some(answer.ends_with(b"Ok.\n"))
    };
    matches!(tokio::time::timeout(PING, ping).await, Ok(Some(true)))
}

fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        // it may have ended already, which is what we want
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

fn kill(process: &mut Process) {
    // as above; `wait` reaps it
    let _gone = process.kill();
    let _reaped = process.wait();
}

pub(super) fn cannot_write(path: &Path, source: std::io::Error) -> Error {
    Error::new(Kind::File, format!("cannot write {}", path.display())).because(source)
}

/// The end of a log, where the reason stands.
fn last_lines(text: &str) -> String {
    const SHOWN: usize = 5;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
