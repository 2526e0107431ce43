//! The text of a connector that loses nothing: the rules' own values, and what differs per source.

use std::fmt::Write as _;

use super::rules::rules;
use super::{MARIADB, MYSQL, POSTGRES};
use crate::catalog::{System, TableName};

/// The server whose tables are captured.
#[derive(Clone, Copy, Debug)]
pub enum Server<'a> {
    Postgres { database: &'a str },
    MariaDb,
    MySql,
}

impl Server<'_> {
    fn system(self) -> System {
        match self {
            Server::Postgres { .. } => System::Postgres,
            Server::MariaDb | Server::MySql => System::Mysql,
        }
    }
}

/// `jobs/connectors/<name>.json`. Addresses and passwords stay in Kafka Connect's environment.
pub fn template(name: &str, server: Server<'_>, tables: &[TableName]) -> String {
    let include: Vec<String> = tables.iter().map(TableName::to_string).collect();
    let (class, source) = match server {
        Server::Postgres { .. } => (POSTGRES, "POSTGRES"),
        Server::MariaDb => (MARIADB, "MYSQL"),
        Server::MySql => (MYSQL, "MYSQL"),
    };
    let of_source = |what: &str| format!("${{env:BULLION_{source}_{what}}}");
    let mut own = vec![
        ("connector.class", class.to_owned()),
        ("tasks.max", "1".to_owned()),
        ("database.hostname", of_source("HOST")),
        ("database.port", of_source("PORT")),
        ("database.user", of_source("USER")),
        ("database.password", of_source("PASSWORD")),
        ("topic.prefix", name.to_owned()),
        ("table.include.list", include.join(",")),
    ];
    match server {
        Server::Postgres { database } => {
            // slots hold lower-case letters, digits and `_` only
            let slot = format!("bullion_{}", name.to_lowercase());
            own.push(("database.dbname", database.to_owned()));
            own.push(("slot.name", slot.clone()));
            own.push(("publication.name", slot));
        }
        Server::MariaDb | Server::MySql => {
            let mut databases: Vec<&str> =
                tables.iter().map(|table| table.schema.as_str()).collect();
            databases.sort_unstable();
            databases.dedup();
            own.push(("database.include.list", databases.join(",")));
            own.push(("database.server.id", server_id(name).to_string()));
            own.extend([
                (
                    "schema.history.internal.kafka.bootstrap.servers",
                    "${env:BULLION_KAFKA_BROKERS}".to_owned(),
                ),
                (
                    "schema.history.internal.kafka.topic",
                    format!("{name}.schema-history"),
                ),
            ]);
        }
    }
    // −1: the broker's own default
    own.push(("topic.creation.default.partitions", "-1".to_owned()));
    own.push(("topic.creation.default.replication.factor", "-1".to_owned()));
    let safe = rules(server.system()).filter_map(|rule| Some((rule.key, rule.write?.to_owned())));
    let mut text = String::from("{");
    for (index, (key, value)) in own.into_iter().chain(safe).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // JSON text of a string; writing to a String cannot fail
        let value = serde_json::Value::from(value);
        let _ = write!(text, "{comma}\n  \"{key}\": {value}");
    }
    text.push_str("\n}\n");
    text
}

/// The number under which a connector reads a server's log: the same for the same name, and far from what servers are given
/// by hand.
fn server_id(name: &str) -> u32 {
    const ABOVE: u32 = 1 << 20;
    let mix = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(16_777_619);
    ABOVE + (name.bytes().fold(2_166_136_261, mix) >> 2)
}
