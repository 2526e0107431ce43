//! The demo's folder: the engine's data, its password, the jobs with their epoch, and what a child process is told.
//!
//! ```text
//! .bullion/demo/ engine/          ClickHouse's data; survives restarts
//!                password         of user `default`, readable by its owner only
//!                jobs/            the root jobs/ of the repository, with this run's epoch
//!                <command>.log    what each command said on stderr
//! ```

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config;
use crate::embedded::engine::{Child, running_on};
use crate::error::{Error, Kind, Result};

/// Where `bullion demo` and `bullion sql` look when nobody says otherwise.
pub const DEFAULT: &str = ".bullion/demo";

/// Every file of the demo's jobs: path under jobs/, text.
const JOBS: [(&str, &str); 9] = [
    (
        "silver/airlines.toml",
        include_str!("../../jobs/silver/airlines.toml"),
    ),
    (
        "silver/airports.toml",
        include_str!("../../jobs/silver/airports.toml"),
    ),
    (
        "silver/flights.toml",
        include_str!("../../jobs/silver/flights.toml"),
    ),
    (
        "silver/planes.toml",
        include_str!("../../jobs/silver/planes.toml"),
    ),
    (
        "silver/weather.toml",
        include_str!("../../jobs/silver/weather.toml"),
    ),
    (
        "gold/carrier_delays_by_day.toml",
        include_str!("../../jobs/gold/carrier_delays_by_day.toml"),
    ),
    (
        "gold/carrier_delays_by_day.sql",
        include_str!("../../jobs/gold/carrier_delays_by_day.sql"),
    ),
    (
        "gold/flights_by_day.toml",
        include_str!("../../jobs/gold/flights_by_day.toml"),
    ),
    (
        "gold/flights_by_day.sql",
        include_str!("../../jobs/gold/flights_by_day.sql"),
    ),
];

/// Names of the silver jobs, which are also their tables and the ends of their topics.
pub const SILVER: [&str; 5] = ["airlines", "airports", "flights", "planes", "weather"];
pub const GOLD: [&str; 2] = ["carrier_delays_by_day", "flights_by_day"];

#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// The engine on a folder's data: ours to stop, or one that somebody else keeps.
pub struct Engine {
    pub url: String,
    pub pid: Option<u32>,
    pub password: SecretString,
    child: Option<Child>,
}

impl Folder {
    /// Makes the folder where it is missing.
    pub fn make(path: &Path) -> Result<Folder> {
        let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
        let path = made.map_err(|error| cannot("make", path, error))?;
        Ok(Folder { path })
    }

    /// The folder of an earlier run; `None`: there is none here.
    pub fn existing(path: &Path) -> Option<Folder> {
        let path = path.canonicalize().ok()?;
        let folder = Folder { path };
        folder.password_file().is_file().then_some(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    pub fn log_file(&self, command: &str) -> PathBuf {
        self.path.join(format!("{command}.log"))
    }

    pub fn jobs(&self) -> PathBuf {
        self.path.join("jobs")
    }

    pub fn engine_data(&self) -> PathBuf {
        self.path.join("engine")
    }

    /// The jobs as they stand in the repository, silver ones with this epoch.
    pub fn write_jobs(&self, epoch: u8) -> Result<()> {
        for (name, text) in JOBS {
            let file = self.jobs().join(name);
            let text = if name.starts_with("silver/") {
                // a key of the top level, so it stands before the first section
                format!("epoch = {epoch}\n{text}")
            } else {
                text.to_owned()
            };
            let folder = file.parent().unwrap_or(&self.path);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&file, text))
                .map_err(|error| cannot("write", &file, error))?;
        }
        Ok(())
    }

    /// The engine that runs on this folder's data, or a new one.
    pub async fn engine(&self) -> Result<Engine> {
        let data = self.engine_data();
        let password = self.password()?;
        if let Some((url, pid)) = running_on(&data).await {
            return Ok(Engine {
                url,
                pid: Some(pid),
                password,
                child: None,
            });
        }
        let child = Child::start_with(&program()?, &data, password.clone()).await?;
        Ok(Engine {
            url: child.url.clone(),
            pid: child.pid(),
            password,
            child: Some(child),
        })
    }

    /// Made once and kept, so that `bullion sql` finds it again.
    fn password(&self) -> Result<SecretString> {
        let file = self.password_file();
        match std::fs::read_to_string(&file) {
            Ok(text) => return Ok(SecretString::from(text.trim_end().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("read", &file, error)),
        }
        let password = uuid::Uuid::new_v4().simple().to_string();
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut opened| writeln!(opened, "{password}"))
            .map_err(|error| cannot("write", &file, error))?;
        Ok(SecretString::from(password))
    }
}

impl Engine {
    pub fn is_ours(&self) -> bool {
        self.child.is_some()
    }

    /// What `sink::clickhouse` needs to reach it.
    pub fn address(&self) -> config::ClickHouse {
        config::ClickHouse {
            url: self.url.clone(),
            user: String::from("default"),
            password: Some(SecretString::from(self.password.expose_secret().to_owned())),
            ca_file: None,
            database: String::from("default"),
            cluster: None,
            insert_timeout: config::INSERT_TIMEOUT,
            silver: String::from("silver"),
            gold: String::from("gold"),
            ops: String::from("ops"),
        }
    }

    /// Stops it if we started it; one that somebody keeps is left alone.
    pub async fn stop(self) -> Result<()> {
        match self.child {
            Some(child) => child.stop().await,
            None => Ok(()),
        }
    }

    /// Leaves it running when we end.
    pub fn keep(self) {
        self.child.and_then(Child::detach);
    }
}

/// The binary that runs now: every step of the demo is one of its own commands.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| {
        Error::new(Kind::Internal, "cannot find the running binary").because(error)
    })
}

fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::File, format!("cannot {doing} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::job::Jobs;

    #[test]
    fn the_jobs_of_a_run_are_the_repositorys_with_its_epoch() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(place.path()).unwrap();
        folder.write_jobs(7).unwrap();
        let jobs = folder.jobs().display().to_string();
        let environment = [(String::from("BULLION_JOBS"), jobs)].into();
        let config = Config::load_from(None, &environment).unwrap();
        let jobs = Jobs::load(&config).unwrap();
        let names: Vec<&str> = jobs.silver.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, SILVER);
        assert!(jobs.silver.iter().all(|job| job.epoch == 7));
        let names: Vec<&str> = jobs.gold.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, GOLD);
    }

    #[test]
    fn the_password_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        assert!(Folder::existing(place.path()).is_none());
        let folder = Folder::make(place.path()).unwrap();
        let first = folder.password().unwrap();
        let again = folder.password().unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        let mode = folder.password_file().metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert!(Folder::existing(place.path()).is_some());
    }
}
