//! A real PostgreSQL of the test's own, whose TLS is switched on and off and whose certificate changes.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::certificates::Issued;
use super::program::Running;
use super::secure_kafka::free_ports;
use super::{PATIENCE, wait_for};

pub const PASSWORD: &str = "of-the-superuser";

pub struct OwnPostgres {
    pub port: u16,
    pub client: Client,
    data: PathBuf,
    _process: Running,
}

impl OwnPostgres {
    pub async fn start(folder: &Path) -> OwnPostgres {
        let data = folder.join("postgres");
        std::fs::create_dir(&data).unwrap();
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        give_away(&[&data, &password]);
        let made = program("initdb")
            .arg("-D")
            .arg(&data)
            .args([
                "-U",
                "postgres",
                "--no-sync",
                "--auth=scram-sha-256",
                "--pwfile",
            ])
            .arg(&password)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let [port] = free_ports();
        let log = std::fs::File::create(folder.join("postgres.log")).unwrap();
        let process = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
            ])
            .args(["-c", "wal_level=logical", "-c", "log_connections=on"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let process = Running(process);
        let address = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres");
        let client = wait_for("postgres", PATIENCE, || async {
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
        .await;
        OwnPostgres {
            port,
            client,
            data,
            _process: process,
        }
    }

    /// Switches TLS on with this certificate, or off; connections that come from now on see it.
    pub async fn set_tls(&self, issued: Option<&Issued>) {
        let before = self.loaded().await;
        let set = |name: &str, value: &str| format!("ALTER SYSTEM SET {name} = '{value}'");
        if let Some(issued) = issued {
            for (name, from) in [("certificate", &issued.certificate), ("key", &issued.key)] {
                let file = self.data.join(name);
                std::fs::copy(from, &file).unwrap();
                private(&file);
            }
            for (name, file) in [("ssl_cert_file", "certificate"), ("ssl_key_file", "key")] {
                self.client.batch_execute(&set(name, file)).await.unwrap();
            }
        }
        let word = if issued.is_some() { "on" } else { "off" };
        self.client.batch_execute(&set("ssl", word)).await.unwrap();
        self.client
            .batch_execute("SELECT pg_reload_conf()")
            .await
            .unwrap();
        wait_for("the new settings", Duration::from_secs(20), || async {
            (self.loaded().await != before).then_some(())
        })
        .await;
    }

    async fn loaded(&self) -> String {
        let asked = self
            .client
            .query_one("SELECT pg_conf_load_time()::text", &[]);
        asked.await.unwrap().get(0)
    }

    /// Whether the last of our connections that was let in came by TLS.
    pub fn last_was_encrypted(&self) -> bool {
        let log =
            std::fs::read_to_string(self.data.parent().unwrap().join("postgres.log")).unwrap();
        let ours =
            |line: &&str| line.contains("authorized") && line.contains("application_name=bullion");
        log.lines().rfind(ours).unwrap().contains("SSL enabled")
    }
}

/// PostgreSQL refuses root, which becomes `postgres` and keeps the right to pass root's folders.
fn program(name: &str) -> Command {
    let bin = newest();
    if !is_root() {
        return Command::new(bin.join(name));
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--init-groups",
        ])
        .args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"])
        // dies with the test: a killed `setpriv` is the server itself
        .args(["--pdeathsig", "KILL"])
        .arg(bin.join(name));
    command
}

fn newest() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let mut found: Vec<PathBuf> = versions
        .map(|entry| entry.unwrap().path().join("bin"))
        .collect();
    found.sort();
    found.pop().unwrap()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give_away(paths: &[&Path]) {
    if is_root() {
        let done = Command::new("chown").arg("postgres:").args(paths).status();
        assert!(done.unwrap().success());
    }
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    give_away(&[file]);
}
