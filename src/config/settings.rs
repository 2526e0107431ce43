//! The closed list of settings, and where the value of each came from.
//!
//! ```text
//! default ◀ bullion.toml ◀ environment (NAME, or NAME_FILE for secrets)      the right one wins
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// One setting that exists: `kafka.brokers` in the file is `BULLION_KAFKA_BROKERS` in the environment.
pub struct Known {
    pub key: &'static str,
    pub default: Option<&'static str>,
    pub secret: bool,
    pub help: &'static str,
}

const fn known(key: &'static str, default: Option<&'static str>, help: &'static str) -> Known {
    Known {
        key,
        default,
        secret: false,
        help,
    }
}

const fn secret(key: &'static str, help: &'static str) -> Known {
    Known {
        key,
        default: None,
        secret: true,
        help,
    }
}

pub const SETTINGS: [Known; 52] = [
    known(
        "jobs",
        Some("jobs"),
        "folder of the jobs, beside bullion.toml",
    ),
    known(
        "time_zone",
        Some("UTC"),
        "zone of windows whose job names none",
    ),
    known(
        "memory_budget",
        Some("96MiB"),
        "what ingest holds in memory, whatever the lag",
    ),
    secret("mask_key", "key of the hashes in masked columns"),
    known(
        "kafka.brokers",
        Some("127.0.0.1:9092"),
        "host:port, comma-separated",
    ),
    known("kafka.group", Some("bullion"), "consumer group of ingest"),
    known(
        "kafka.first_start",
        Some("earliest"),
        "where a job begins that never ran: earliest or latest",
    ),
    known(
        "kafka.security",
        None,
        "plaintext, ssl, sasl_plaintext or sasl_ssl",
    ),
    known(
        "kafka.ca_file",
        None,
        "PEM of the CA that signed the brokers' certificates; default: the system's",
    ),
    known(
        "kafka.certificate_file",
        None,
        "PEM of our own certificate, where the brokers ask for one",
    ),
    known("kafka.key_file", None, "PEM of its key"),
    secret("kafka.key_password", "password of that key"),
    known(
        "kafka.mechanism",
        None,
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    known("kafka.user", None, "user name for SASL"),
    secret("kafka.password", "password of that user"),
    known(
        "clickhouse.url",
        Some("http://127.0.0.1:8123"),
        "HTTP interface of ClickHouse",
    ),
    known("clickhouse.user", Some("default"), "user name"),
    secret("clickhouse.password", "password of that user"),
    known(
        "clickhouse.ca_file",
        None,
        "PEM of the CA that signed its certificate (https); default: the system's",
    ),
    known(
        "clickhouse.database",
        Some("default"),
        "what unqualified names in gold SQL refer to",
    ),
    known(
        "clickhouse.cluster",
        None,
        "DDL runs ON CLUSTER, engines are the Replicated ones",
    ),
    known(
        "clickhouse.silver",
        Some("silver"),
        "database of silver tables",
    ),
    known("clickhouse.gold", Some("gold"), "database of gold tables"),
    known(
        "clickhouse.ops",
        Some("ops"),
        "database of runs, windows and dead letters",
    ),
    known(
        "clickhouse.insert_timeout",
        Some("120s"),
        "an insert that is not answered by then is sent again",
    ),
    known(
        "postgres.url",
        None,
        "source database: postgres://user@host:5432/name, with libpq's sslmode and sslrootcert",
    ),
    secret("postgres.password", "password of that user"),
    known(
        "mysql.url",
        None,
        "source MySQL or MariaDB: mysql://user@host:3306/name",
    ),
    secret("mysql.password", "password of that user"),
    known(
        "connect.url",
        Some("http://127.0.0.1:8083"),
        "Kafka Connect's REST interface",
    ),
    known("connect.user", None, "basic-auth user of Kafka Connect"),
    secret("connect.password", "basic-auth password of Kafka Connect"),
    known(
        "connect.ca_file",
        None,
        "PEM of the CA that signed its certificate (https); default: the system's",
    ),
    known(
        "discover.topics",
        None,
        "regular expression of topics that should have a job",
    ),
    known(
        "discover.mode",
        Some("report"),
        "what becomes of those that have none: report, or auto (a job is made)",
    ),
    known(
        "registry.url",
        None,
        "schema registry with Confluent's interface, for formats of avro",
    ),
    known(
        "registry.ca_file",
        None,
        "PEM of the CA that signed its certificate (https); default: the system's",
    ),
    known("registry.user", None, "basic-auth user of the registry"),
    secret("registry.password", "basic-auth password of the registry"),
    known(
        "archive.url",
        None,
        "where ingest keeps raw messages as Parquet: file:///folder or s3://bucket/prefix",
    ),
    known(
        "archive.topics",
        None,
        "regular expression of the topics that are kept; default: all",
    ),
    known(
        "archive.roll_after",
        Some("5m"),
        "a file is ended so long after its first message; offsets are committed then",
    ),
    known(
        "archive.roll_bytes",
        Some("32MiB"),
        "or when it has so many bytes, compressed",
    ),
    known(
        "archive.endpoint",
        None,
        "address of an S3 that is not Amazon's, such as MinIO's",
    ),
    known("archive.region", Some("us-east-1"), "region of the bucket"),
    known(
        "archive.access_key",
        None,
        "S3 access key id; default: AWS's own variables and roles",
    ),
    secret("archive.secret_key", "S3 secret access key"),
    known(
        "lease.kind",
        Some("file"),
        "file (one host) or postgres (several)",
    ),
    known(
        "lease.folder",
        Some(".bullion/leases"),
        "folder of file leases",
    ),
    known(
        "lease.url",
        None,
        "database of postgres leases; default: postgres.url",
    ),
    secret("lease.password", "password of that user"),
    known(
        "lease.ttl",
        Some("30s"),
        "a holder silent for so long has lost its lease",
    ),
];

/// Sections whose keys belong to somebody else: librdkafka's own properties.
pub const KAFKA_PROPERTIES: &str = "kafka.properties.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment { name: String },
    SecretFile { name: String, path: PathBuf },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { name } => write!(f, "environment {name}"),
            Origin::SecretFile { name, path } => write!(f, "{name} ({})", path.display()),
        }
    }
}

#[derive(Clone)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

/// Every setting that has a value, by key; secrets in the clear, so this never leaves `config`.
pub type Settings = BTreeMap<String, Setting>;

pub fn defaults() -> Settings {
    SETTINGS
        .iter()
        .filter_map(|known| {
            let setting = Setting {
                value: known.default?.to_owned(),
                origin: Origin::Default,
            };
            Some((known.key.to_owned(), setting))
        })
        .collect()
}

pub fn is_secret(key: &str) -> bool {
    let named = SETTINGS
        .iter()
        .any(|known| known.secret && known.key == key);
    let librdkafka = key.strip_prefix(KAFKA_PROPERTIES);
    named || librdkafka.is_some_and(|name| name.contains("password") || name.contains("secret"))
}

pub fn environment_name(key: &str) -> String {
    format!("BULLION_{}", key.replace('.', "_").to_uppercase())
}
