//! A folder with jobs, an engine of its own and the binary: what a person has who builds gold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;

use super::embedded_engine::{EmbeddedEngine, engine, start};
use super::program::{PROGRAM, Ran, Running, process_state, without_stack};
use super::{PATIENCE, wait_for};

pub struct EmbeddedProject {
    pub engine: EmbeddedEngine,
    environment: BTreeMap<String, String>,
}

impl EmbeddedProject {
    pub async fn new() -> EmbeddedProject {
        let engine = engine().await;
        let project = EmbeddedProject {
            engine,
            environment: BTreeMap::new(),
        };
        project.configure("");
        project
    }

    /// `bullion.toml`: where the engine listens now, and what a test adds.
    pub fn configure(&self, more: &str) {
        let toml = format!(
            "[clickhouse]\nurl = \"{}\"\nuser = \"{}\"\n{more}",
            self.engine.child.url, self.engine.child.user
        );
        self.write("bullion.toml", &toml);
    }

    /// Another engine over what the last one left, once that is dead.
    pub async fn restart_engine(&mut self) {
        self.engine.child = start(self.engine.folder.path()).await;
        self.configure("");
    }

    /// For every command from now on.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment
            .insert(variable.to_owned(), value.to_owned());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.engine.folder.path().join("project").join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        let password = self.engine.child.password.expose_secret();
        without_stack(&mut command);
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path(""))
            .env("BULLION_CLICKHOUSE_PASSWORD", password)
            .envs(&self.environment);
        command
    }

    pub async fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments)).await
    }

    /// A command that has stopped itself at a fail point: `name:N`, the Nth time it got there.
    pub async fn stopped(&self, arguments: &str, point: &str) -> Running {
        let child = self
            .command(arguments)
            .env("BULLION_FAILPOINT", format!("{point}:stop"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running(child);
        let pid = running.0.id();
        wait_for("the command to stop itself", PATIENCE, || async {
            let state = process_state(pid);
            assert_ne!(state, Some('Z'), "{arguments}: it ended before {point}");
            (state == Some('T')).then_some(())
        })
        .await;
        running
    }

    pub async fn sql(&self, sql: &str) {
        let done = self.engine.client().query_raw(sql).execute().await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One text answer, columns by tabs.
    pub async fn ask(&self, sql: &str) -> String {
        let answer = self.engine.post("/", sql.to_owned()).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text().trim_end().to_owned()
    }
}
