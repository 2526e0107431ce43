//! A database of the test's own in the stack's PostgreSQL, and the Debezium connector that publishes it.

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::connector::{Connector, remove_connectors, start_connector};
use super::{PATIENCE, stack, wait_for};

pub struct Source {
    pub name: String,
    pub client: Client,
    _connector: Connector,
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
            _connector: Connector::named(&name),
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

/// Connectors, slots and databases that a run of this test left behind when it failed.
async fn remove_leftovers(test: &str) {
    remove_connectors(test).await;
    let admin = connect("postgres").await;
    let drop_slots = format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^{test}_[0-9]+(_|$)'"
    );
    wait_for("old slots to be free", PATIENCE, || async {
        admin.batch_execute(&drop_slots).await.ok()
    })
    .await;
    let databases = format!("SELECT datname FROM pg_database WHERE datname ~ '^{test}_[0-9]+$'");
    for row in admin.query(&databases, &[]).await.unwrap() {
        let name: String = row.get(0);
        admin
            .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
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
