//! `[kafka]`: the brokers, the group, how they are spoken to, and librdkafka's own properties.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::reader::Reader;
use super::settings::KAFKA_PROPERTIES;

#[derive(Clone, Debug)]
pub struct Kafka {
    pub brokers: String,
    pub group: String,
    pub first_start: FirstStart,
    pub security: Security,
    /// librdkafka's own, passed on as they are
    pub properties: BTreeMap<String, String>,
    /// bytes; of all that ingest holds, see `memory_budget`
    pub memory: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    Earliest,
    Latest,
}

/// What is left out is librdkafka's default, or stands among its properties.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub protocol: Option<Protocol>,
    /// PEM; where none is named, the system's
    pub ca_file: Option<PathBuf>,
    /// PEM, where the brokers ask for one
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub key_password: Option<SecretString>,
    pub mechanism: Option<Mechanism>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const ALL: [Protocol; 4] = [
        Protocol::Plaintext,
        Protocol::Ssl,
        Protocol::SaslPlaintext,
        Protocol::SaslSsl,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Plaintext => "plaintext",
            Protocol::Ssl => "ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
            Protocol::SaslSsl => "sasl_ssl",
        }
    }

    const fn has_sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }

    const fn has_tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    const ALL: [Mechanism; 3] = [
        Mechanism::Plain,
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Properties that bullion's guarantees rest on; setting them is refused, with the reason.
const OURS: [(&str, &str); 9] = [
    (
        "enable.auto.commit",
        "offsets are committed only after ClickHouse has the rows",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed only after ClickHouse has the rows",
    ),
    (
        "auto.offset.reset",
        "it loses or repeats data in silence; see kafka.first_start",
    ),
    ("bootstrap.servers", "it is kafka.brokers"),
    ("metadata.broker.list", "it is kafka.brokers"),
    (
        "isolation.level",
        "rows of transactions that were aborted would become rows of silver",
    ),
    (
        "allow.auto.create.topics",
        "a topic that is spelled wrong would be made, and read for ever",
    ),
    ("group.id", "it is kafka.group"),
    (
        "enable.partition.eof",
        "`--until-caught-up` uses end offsets",
    ),
];

/// What has a name of ours: saying it twice is refused.
const NAMED: [(&str, &str); 7] = [
    ("security.protocol", "kafka.security"),
    ("ssl.ca.location", "kafka.ca_file"),
    ("ssl.certificate.location", "kafka.certificate_file"),
    ("ssl.key.location", "kafka.key_file"),
    ("sasl.mechanism", "kafka.mechanism"),
    ("sasl.mechanisms", "kafka.mechanism"),
    ("sasl.username", "kafka.user"),
];

pub fn properties(read: &Reader<'_>, guarded: bool) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for (key, setting) in read.settings {
        let Some(name) = key.strip_prefix(KAFKA_PROPERTIES) else {
            continue;
        };
        if let Some((_, reason)) = OURS.iter().find(|(ours, _)| *ours == name)
            && guarded
        {
            read.fault(setting, format!("`{key}` cannot be set: {reason}"));
        }
        let twice = |(theirs, ours): &&(&str, &str)| *theirs == name && read.has(ours);
        if let Some((_, ours)) = NAMED.iter().find(twice) {
            read.fault(
                setting,
                format!("`{key}` and `{ours}` are the same: keep one"),
            );
        }
        properties.insert(name.to_owned(), setting.value.clone());
    }
    properties
}

pub fn security(
    read: &Reader<'_>,
    folder: &Path,
    properties: &BTreeMap<String, String>,
) -> Security {
    let protocol = read.chosen("kafka.security", &Protocol::ALL, Protocol::as_str);
    let mechanism = read.chosen("kafka.mechanism", &Mechanism::ALL, Mechanism::as_str);
    let security = Security {
        ca_file: read.file("kafka.ca_file", folder),
        certificate_file: read.file("kafka.certificate_file", folder),
        key_file: read.file("kafka.key_file", folder),
        key_password: read.secret("kafka.key_password"),
        user: read.optional("kafka.user"),
        password: read.secret("kafka.password"),
        protocol,
        mechanism,
    };
    let theirs = properties.get("security.protocol");
    let theirs = theirs.and_then(|text| {
        let mut all = Protocol::ALL.into_iter();
        all.find(|one| one.as_str().eq_ignore_ascii_case(text))
    });
    let spoken = protocol.or(theirs).unwrap_or(Protocol::Plaintext);
    let said = spoken.as_str();
    if !spoken.has_sasl() {
        let message = format!("needs `kafka.security` = \"sasl_ssl\", not \"{said}\"");
        read.refuse(&["kafka.user", "kafka.mechanism"], &message);
    } else if protocol.is_some()
        && security.user.is_none()
        && !properties.keys().any(|name| name.starts_with("sasl."))
    {
        let message =
            format!("\"{said}\" needs `kafka.user`, and BULLION_KAFKA_PASSWORD in the environment");
        read.refuse(&["kafka.security"], &message);
    }
    if !spoken.has_tls() {
        let message = format!("needs `kafka.security` = \"ssl\" or \"sasl_ssl\", not \"{said}\"");
        let files = ["kafka.ca_file", "kafka.certificate_file", "kafka.key_file"];
        read.refuse(&files, &message);
    }
    security
}
