//! A database of the test's own in the stack's PostgreSQL, and the Debezium connector that publishes it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{http, stack, wait_for};

pub struct Source {
    pub name: String,
    pub client: Client,
}

impl Source {
    /// An empty database `<test>_<process>`, so that topics of an earlier run cannot be mistaken for ours.
    pub async fn new(test: &str) -> Source {
        remove_leftovers(test).await;
        let name = format!("{test}_{}", std::process::id());
        connect("postgres")
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        Source {
            client: connect(&name).await,
            name,
        }
    }

    /// Debezium's topic of a table.
    pub fn topic(&self, table: &str) -> String {
        format!("{}.public.{table}", self.name)
    }

    /// Another connection to the same database.
    pub async fn another(&self) -> Client {
        connect(&self.name).await
    }

    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// Rows as PostgreSQL writes them, columns separated by tabs, NULL as `\N`.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let answer = self.client.simple_query(sql).await.unwrap();
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cells: Vec<&str> = (0..row.len())
                    .map(|column| row.get(column).unwrap_or("\\N"))
                    .collect();
                Some(cells.join("\t"))
            }
            _ => None,
        });
        rows.collect()
    }

    /// The libpq-style address of this database, password included: for the environment of a child.
    pub fn url(&self) -> String {
        address(&self.name)
    }

    /// Starts a connector for these tables and waits until it runs. Topics are `<test>.public.<table>`.
    pub async fn publish(&self, tables: &[&str], settings: &[(&str, &str)]) {
        let tables: Vec<String> = tables
            .iter()
            .map(|table| format!("public.{table}"))
            .collect();
        start_connector(
            &self.name,
            &[
                (
                    "connector.class",
                    "io.debezium.connector.postgresql.PostgresConnector",
                ),
                ("plugin.name", "pgoutput"),
                ("database.hostname", &stack("BULLION_POSTGRES_HOST")),
                ("database.port", &stack("BULLION_POSTGRES_PORT")),
                ("database.user", &stack("BULLION_POSTGRES_USER")),
                ("database.password", &stack("BULLION_POSTGRES_PASSWORD")),
                ("database.dbname", &self.name),
                ("topic.prefix", &self.name),
                ("table.include.list", &tables.join(",")),
                ("slot.name", &self.name),
                ("publication.name", &self.name),
                ("publication.autocreate.mode", "filtered"),
                ("interval.handling.mode", "string"),
            ],
            settings,
        )
        .await;
    }
}

/// Starts a connector by these settings, later ones instead of earlier ones, and waits until it runs.
pub async fn start_connector(name: &str, own: &[(&str, &str)], settings: &[(&str, &str)]) {
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    let every = [
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "microseconds"),
        ("heartbeat.interval.ms", "500"),
        ("poll.interval.ms", "50"),
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.replication.factor", "1"),
        ("key.converter", JSON),
        ("key.converter.schemas.enable", "false"),
        ("key.converter.replace.null.with.default", "false"),
        ("value.converter", JSON),
        ("value.converter.schemas.enable", "false"),
        ("value.converter.replace.null.with.default", "false"),
    ];
    let config: Map<String, Value> = every
        .iter()
        .chain(own)
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let connectors = format!("{}/connectors", stack("BULLION_CONNECT_URL"));
    let http = http();
    let url = format!("{connectors}/{name}/config");
    let answer = http.put(&url).json(&config).send().await.unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        answer.text().await.unwrap()
    );
    wait_for("the connector to run", Duration::from_secs(60), || async {
        let answer = http
            .get(format!("{connectors}/{name}/status"))
            .send()
            .await
            .ok()?;
        let status: Value = answer.json().await.ok()?;
        let state = status["tasks"][0]["state"].as_str()?;
        assert_ne!(state, "FAILED", "{status}");
        (state == "RUNNING").then_some(())
    })
    .await;
}

/// Connectors, slots and databases that a run of this test left behind when it failed.
async fn remove_leftovers(test: &str) {
    remove_connectors(test).await;
    let admin = connect("postgres").await;
    let drop_slots = format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE '{test}\\_%'"
    );
    wait_for("old slots to be free", Duration::from_secs(60), || async {
        admin.batch_execute(&drop_slots).await.ok()
    })
    .await;
    let databases = format!("SELECT datname FROM pg_database WHERE datname LIKE '{test}\\_%'");
    for row in admin.query(&databases, &[]).await.unwrap() {
        let name: String = row.get(0);
        admin
            .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await
            .unwrap();
    }
}

/// Those that a run of this test left behind.
pub async fn remove_connectors(test: &str) {
    let connectors = format!("{}/connectors", stack("BULLION_CONNECT_URL"));
    let names: Vec<String> = http()
        .get(&connectors)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for name in names.iter().filter(|name| name.starts_with(test)) {
        http()
            .delete(format!("{connectors}/{name}"))
            .send()
            .await
            .unwrap();
    }
}

/// The server's address, password included, with this database.
pub fn address(database: &str) -> String {
    let url = stack("BULLION_POSTGRES_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

pub async fn connect(database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&address(database), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}
