//! A folder with jobs, an engine of its own and the binary: what a person has who builds gold.

use std::path::PathBuf;
use std::process::{Command, Output};

use secrecy::ExposeSecret as _;

use crate::engine::{Engine, PROGRAM, engine};
use crate::support::without_stack;

pub struct Project {
    pub engine: Engine,
}

/// What one run of the binary did.
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Passes the run on when it ended like this; else shows what it said.
    #[track_caller]
    pub fn exits(self, exit: i32) -> Ran {
        assert_eq!(self.exit, exit, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The result: the very last line.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.stdout.lines().last().unwrap()).unwrap()
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

impl Project {
    pub async fn new() -> Project {
        let engine = engine().await;
        let project = Project { engine };
        let toml = format!(
            "[clickhouse]\nurl = \"{}\"\nuser = \"{}\"\n",
            project.engine.child.url, project.engine.child.user
        );
        project.write("bullion.toml", &toml);
        project
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
            .env("BULLION_CLICKHOUSE_PASSWORD", password);
        command
    }

    pub async fn run(&self, arguments: &str) -> Ran {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        Ran::from(output.await.unwrap().unwrap())
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
