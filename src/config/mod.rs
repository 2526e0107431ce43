//! The configuration: raw settings become one validated value, with every fault reported at once.

mod archive;
mod kafka;
mod overlay;
mod postgres;
mod reader;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use regex::Regex;
use secrecy::SecretString;

pub use kafka::{FirstStart, Kafka, Mechanism, Protocol, Security};
pub use postgres::{Mode, Postgres, Roots, Tls};
use reader::Reader;
pub use settings::{Origin, SETTINGS, environment_name};
use settings::{Settings, is_secret};

use crate::document::{parse_bytes, parse_duration};
use crate::error::{Error, Kind, Result};
use crate::fault::Faults;

/// Looked for in the working directory where neither `--config` nor `BULLION_CONFIG` names a file.
pub const DEFAULT_FILE: &str = "bullion.toml";
/// An insert that hangs is given up well before Kafka's default `max.poll.interval.ms` of 300 s.
pub const INSERT_TIMEOUT: Duration = Duration::from_secs(120);
/// Less than this cannot hold one message and the block it becomes.
const SMALLEST_BUDGET: u64 = 16 << 20;

/// Everything that is not a job, validated.
#[derive(Clone, Debug)]
pub struct Config {
    pub jobs: PathBuf,
    pub time_zone: Tz,
    /// bytes
    pub memory_budget: u64,
    /// of columns with `mask = "hash"`
    pub mask_key: Option<SecretString>,
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
    pub postgres: Postgres,
    pub mysql: Mysql,
    pub connect: Connect,
    pub registry: Registry,
    pub lease: Lease,
    pub discover: Discover,
    /// where raw messages are kept, if they are
    pub archive: Option<crate::archive::Settings>,
    shown: Vec<Shown>,
}

#[derive(Clone, Debug)]
pub struct ClickHouse {
    pub url: String,
    pub user: String,
    pub password: Option<SecretString>,
    /// PEM; where none is named, the system's
    pub ca_file: Option<PathBuf>,
    pub database: String,
    pub cluster: Option<String>,
    pub insert_timeout: Duration,
    pub silver: String,
    pub gold: String,
    pub ops: String,
}

#[derive(Clone, Debug)]
pub struct Mysql {
    pub url: Option<String>,
    pub password: Option<SecretString>,
}

#[derive(Clone, Debug)]
pub struct Connect {
    pub url: String,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// PEM; where none is named, the system's
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Registry {
    pub url: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
}

#[derive(Clone, Debug)]
pub struct Lease {
    pub place: LeasePlace,
    pub ttl: Duration,
}

#[derive(Clone, Debug)]
pub enum LeasePlace {
    File { folder: PathBuf },
    Postgres(Postgres),
}

/// What becomes of topics that no job takes.
#[derive(Clone, Debug)]
pub struct Discover {
    /// whole names that are looked at; nothing: none are
    pub topics: Option<Regex>,
    pub mode: DiscoverMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoverMode {
    /// say the command that makes the job
    Report,
    /// make the table and the job, and ingest it
    Auto,
}

/// One line of `bullion config show`.
#[derive(Clone, Debug)]
pub struct Shown {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

impl Config {
    /// Reads the file (when there is one) and the process environment.
    pub fn load(file: Option<&Path>) -> Result<Config> {
        Config::load_from(file, &std::env::vars().collect())
    }

    pub fn load_from(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Config> {
        let faults = Faults::default();
        let mut settings = settings::defaults();
        let path = file.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
        match std::fs::read_to_string(&path) {
            Ok(text) => overlay::file(&mut settings, &path, &text, &faults),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => {}
            Err(error) => return Err(unreadable(&path, error)),
        }
        overlay::environment(&mut settings, environment, &faults);
        let folder = path.parent().unwrap_or(Path::new(""));
        let guarded = environment.get(UNSAFE_ALLOWED).is_none_or(|on| on != "1");
        let config = validate(&settings, folder, guarded, &faults);
        faults.into_result()?;
        config.ok_or_else(|| Error::new(Kind::Internal, "a configuration fault was not reported"))
    }

    /// Every setting with its value (secrets masked) and where it came from, by key.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }
}

/// Of a file that somebody named: what is not named may be absent.
fn unreadable(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
    let advice = match error.kind() {
        NotFound => format!(
            "check --config and the working directory, or leave it away: without a file the defaults and the environment \
             count, such as BULLION_CLICKHOUSE_URL (`bullion config show` lists those that have a value). To begin one: \
             `printf '[clickhouse]\\nurl = \"http://127.0.0.1:8123\"\\n' > {}`",
            path.display()
        ),
        IsADirectory => format!(
            "name the file in it: --config {}",
            path.join(DEFAULT_FILE).display()
        ),
        PermissionDenied => "let the user that bullion runs as read it".to_owned(),
        _ => "check the path; a configuration is a text of TOML in UTF-8".to_owned(),
    };
    let message = format!("cannot read the configuration file {}", path.display());
    Error::new(Kind::Config, message)
        .because(error)
        .advise(advice)
}

fn validate(settings: &Settings, folder: &Path, guarded: bool, faults: &Faults) -> Option<Config> {
    let read = Reader { settings, faults };
    let time_zone = read.parsed("time_zone", "a zone such as UTC or Europe/Berlin", |text| {
        text.parse::<Tz>().ok()
    });
    let memory_budget = read.parsed("memory_budget", "a size of 16MiB or more", |text| {
        parse_bytes(text).filter(|bytes| *bytes >= SMALLEST_BUDGET)
    });
    let first_start = read.parsed(
        "kafka.first_start",
        "earliest or latest",
        |text| match text {
            "earliest" => Some(FirstStart::Earliest),
            "latest" => Some(FirstStart::Latest),
            _ => None,
        },
    );
    let insert_timeout = read.parsed(
        "clickhouse.insert_timeout",
        "a duration such as 120s",
        parse_duration,
    );
    let ttl = read.parsed("lease.ttl", "a duration such as 30s", parse_duration);
    let postgres = read
        .database("postgres.url", "postgres.password")
        .unwrap_or_else(|| Postgres {
            url: None,
            tls: Tls::default(),
            password: read.secret("postgres.password"),
        });
    let place = read.parsed("lease.kind", "file or postgres", |text| match text {
        "file" => Some(LeasePlace::File {
            folder: folder.join(read.text("lease.folder")),
        }),
        "postgres" => Some(LeasePlace::Postgres({
            let own = read.database("lease.url", "lease.password");
            let mut place = own.unwrap_or_else(|| postgres.clone());
            place.password = read
                .secret("lease.password")
                .or_else(|| postgres.password.clone());
            place
        })),
        _ => None,
    });
    let mode = read.parsed("discover.mode", "report or auto", |text| match text {
        "report" => Some(DiscoverMode::Report),
        "auto" => Some(DiscoverMode::Auto),
        _ => None,
    });
    let topics = read.optional("discover.topics").and_then(|_| {
        read.parsed("discover.topics", "a regular expression", |text| {
            Regex::new(&format!("^(?:{text})$")).ok()
        })
    });
    let properties = kafka::properties(&read, guarded);
    let security = kafka::security(&read, folder, &properties);
    Some(Config {
        jobs: folder.join(read.text("jobs")),
        time_zone: time_zone?,
        memory_budget: memory_budget?,
        mask_key: read.secret("mask_key"),
        kafka: Kafka {
            brokers: read.text("kafka.brokers"),
            group: read.text("kafka.group"),
            first_start: first_start?,
            security,
            properties,
            memory: memory_budget?,
        },
        clickhouse: ClickHouse {
            url: read.http_url("clickhouse.url"),
            user: read.text("clickhouse.user"),
            password: read.secret("clickhouse.password"),
            ca_file: read.file("clickhouse.ca_file", folder),
            database: read.text("clickhouse.database"),
            cluster: read.optional("clickhouse.cluster"),
            insert_timeout: insert_timeout?,
            silver: read.text("clickhouse.silver"),
            gold: read.text("clickhouse.gold"),
            ops: read.text("clickhouse.ops"),
        },
        mysql: Mysql {
            url: read
                .database_url("mysql.url", "mysql", "mysql.password")
                .map(|(url, _)| url),
            password: read.secret("mysql.password"),
        },
        connect: Connect {
            url: read.http_url("connect.url"),
            user: read.optional("connect.user"),
            password: read.secret("connect.password"),
            ca_file: read.file("connect.ca_file", folder),
        },
        registry: Registry {
            url: read
                .optional("registry.url")
                .map(|_| read.http_url("registry.url")),
            ca_file: read.file("registry.ca_file", folder),
            user: read.optional("registry.user"),
            password: read.secret("registry.password"),
        },
        lease: Lease {
            place: place?,
            ttl: ttl?,
        },
        discover: Discover {
            topics,
            mode: mode?,
        },
        archive: archive::archive(&read, folder),
        postgres,
        shown: show(settings),
    })
}

/// Set to 1 by the test that shows why the first of them is refused.
const UNSAFE_ALLOWED: &str = "BULLION_UNSAFE_KAFKA_PROPERTIES";

const MASK: &str = "******";

fn show(settings: &Settings) -> Vec<Shown> {
    settings
        .iter()
        .map(|(key, setting)| Shown {
            key: key.clone(),
            value: if is_secret(key) {
                MASK.to_owned()
            } else {
                masked_url(&setting.value)
            },
            origin: setting.origin.clone(),
        })
        .collect()
}

fn masked_url(value: &str) -> String {
    match reqwest::Url::parse(value) {
        Ok(mut url) if url.password().is_some() => {
            // refused only for URLs without a host, which have no password either
            let _ = url.set_password(Some(MASK));
            url.into()
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;
