//! A user's project on the stack: a folder of jobs, an environment, and `bullion` run in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::program::{PROGRAM, Ran, Running, without_stack};
use super::{Engine, PATIENCE, stack, wait_for};

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
        let mut command = Command::new(PROGRAM);
        without_stack(&mut command);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(&self.environment);
        command
    }

    /// Runs to the end, whatever the exit code.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs to the end and insists on exit code 0.
    pub fn succeed(&self, arguments: &[&str]) -> Ran {
        let ended = self.run(arguments);
        assert_eq!(ended.exit, 0, "bullion {arguments:?}\n{}", ended.text());
        ended
    }

    /// Ingests again and again until silver answers so: Debezium makes a topic with its first change, and sends when it likes.
    pub async fn ingest_until(&self, what: &str, sql: &str, wanted: &[&str]) {
        wait_for(what, PATIENCE, || async {
            self.run(&["ingest", "--until-caught-up"]);
            (self.engine.rows(sql).await == wanted).then_some(())
        })
        .await;
    }

    /// The same for rows of a source, where none may be rejected and `tell` names what differs in the end.
    pub async fn ingest_until_equal(
        &self,
        sql: &str,
        expected: &[String],
        tell: impl Fn(&[String]) -> String,
    ) {
        let rejected = format!(
            "SELECT DISTINCT reason, column FROM {}.dead_letters",
            self.database("ops")
        );
        let until = Instant::now() + PATIENCE;
        loop {
            // exit 2 until Debezium has made the topic
            let ran = self.run(&["ingest", "--until-caught-up"]);
            assert!(matches!(ran.exit, 0 | 2), "{}", ran.text());
            let found = self.engine.rows(sql).await;
            if found == expected {
                return;
            }
            let rejected = self.engine.rows(&rejected).await;
            assert!(
                Instant::now() < until && rejected.is_empty(),
                "{} rows in the source, {} in silver; rejected {rejected:?}; differences:\n{}",
                expected.len(),
                found.len(),
                tell(&found)
            );
        }
    }

    /// Starts a command that goes on; its log is kept in the project's folder.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    /// The same, with these variables for this process alone.
    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        self.start_telling("log", arguments, environment)
    }

    /// The same, with a log of its own.
    pub fn start_telling(
        &self,
        log: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Running {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.path(log))
            .unwrap();
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Running(child)
    }

    /// What all of them have told.
    pub fn log(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut logs: Vec<PathBuf> = files
            .map(|file| file.unwrap().path())
            .filter(|file| {
                file.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("log")
            })
            .collect();
        logs.sort();
        let read = |log: &PathBuf| std::fs::read_to_string(log).unwrap_or_default();
        logs.iter().map(read).collect()
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
