//! A ClickHouse for tests: the stack's, or an engine of the test's own that may be killed.

use super::program::{PROGRAM, Running};
use super::{PATIENCE, http, stack, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where queries go, and how they are let in.
#[derive(Clone)]
pub struct Engine {
    pub url: String,
    pub user: String,
    pub password: String,
}

impl Engine {
    pub fn of_stack() -> Engine {
        Engine {
            url: stack("BULLION_CLICKHOUSE_URL"),
            user: stack("BULLION_CLICKHOUSE_USER"),
            password: stack("BULLION_CLICKHOUSE_PASSWORD"),
        }
    }

    /// The answer's text, or ClickHouse's.
    pub async fn ask(&self, sql: &str) -> Result<String, String> {
        let answer = http()
            .post(&self.url)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .body(sql.to_owned())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let succeeded = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if succeeded { Ok(text) } else { Err(text) }
    }

    /// Rows in tab-separated form.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let text = self
            .ask(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}\n{error}"));
        text.lines().map(str::to_owned).collect()
    }

    /// A single number; 0 where the table does not exist yet.
    pub async fn number(&self, sql: &str) -> u64 {
        let text = self.ask(sql).await.unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

/// An engine process of the test's own, on one port over its whole life.
pub struct OwnEngine {
    pub engine: Engine,
    folder: PathBuf,
    listen: String,
    /// mebibytes of the disk that it is alone on; `None`: the machine's
    disk: Option<u32>,
    process: Option<Running>,
}

impl OwnEngine {
    pub async fn start(folder: PathBuf) -> OwnEngine {
        OwnEngine::start_on(folder, None).await
    }

    /// On a disk of so many mebibytes, which is gone with the engine; or why there can be none here.
    pub async fn on_small_disk(folder: &Path, mebibytes: u32) -> Result<OwnEngine, String> {
        let probe = mounted(folder, 1).arg("true").output();
        let probe = probe.map_err(|error| error.to_string())?;
        if !probe.status.success() {
            return Err(String::from_utf8_lossy(&probe.stderr).into_owned());
        }
        Ok(OwnEngine::start_on(folder.to_owned(), Some(mebibytes)).await)
    }

    async fn start_on(folder: PathBuf, disk: Option<u32>) -> OwnEngine {
        let listen = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let mut own = OwnEngine {
            engine: Engine {
                url: format!("http://{listen}"),
                user: "bullion".to_owned(),
                password: "of the test".to_owned(),
            },
            folder,
            listen,
            disk,
            process: None,
        };
        own.restart().await;
        own
    }

    pub async fn restart(&mut self) {
        let mut command = match self.disk {
            Some(mebibytes) => mounted(&self.folder, mebibytes),
            None => Command::new("env"),
        };
        let child = command
            .arg(PROGRAM)
            .args(["engine", "--listen", &self.listen, "--data"])
            .arg(&self.folder)
            .env("BULLION_ENGINE_USER", &self.engine.user)
            .env("BULLION_ENGINE_PASSWORD", &self.engine.password)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(Running(child));
        let engine = self.engine.clone();
        wait_for("the engine to answer", PATIENCE, || async {
            engine.ask("SELECT 1").await.ok()
        })
        .await;
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGSTOP and SIGCONT: connections stay open and nothing answers.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }
}

/// Runs what follows with a small disk of its own at `folder`, which nobody else sees: as root, or as root of a namespace.
fn mounted(folder: &Path, mebibytes: u32) -> Command {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !is_root {
        command.arg("--map-root-user");
    }
    let mount = r#"mount -t tmpfs -o "size=$1m" tmpfs "$2" && shift 2 && exec "$@""#;
    command
        .args(["sh", "-c", mount, "sh", &mebibytes.to_string()])
        .arg(folder);
    command
}
