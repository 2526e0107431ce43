//! A database of the test's own on the stack's PostgreSQL, and a folder of jobs that looks at it.

use std::path::PathBuf;
use std::process::Command;

use tokio_postgres::Client;

use super::postgres::{address, connect};
use super::program::{PROGRAM, Ran};

pub struct SourceProject {
    pub name: String,
    pub client: Client,
    folder: tempfile::TempDir,
}

impl SourceProject {
    /// Makes the database `name` anew and runs `sql` in it.
    pub async fn new(name: &str, sql: &str) -> SourceProject {
        let server = connect("postgres").await;
        for slot in server
            .query("SELECT slot_name::text FROM pg_replication_slots WHERE database = $1 AND NOT active", &[&name])
            .await
            .unwrap()
        {
            let slot: String = slot.get(0);
            server.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
        }
        server
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
            .unwrap();
        server
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let client = connect(name).await;
        client.batch_execute(sql).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("jobs")).unwrap();
        SourceProject {
            name: name.to_owned(),
            client,
            folder,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the binary in the folder, with the stack's addresses and these instead of some.
    pub async fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("BULLION_POSTGRES_URL", address(&self.name))
            .envs(environment.iter().copied());
        Ran::of(command).await
    }

    pub async fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, &[]).await
    }

    /// The one number that a query answers.
    pub async fn count(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}
