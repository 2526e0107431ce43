//! A database of the test's own in the stack's MariaDB, and the Debezium connector that publishes it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row, Value};

use super::connector::{Connector, is_of, remove_connectors, start_connector};
use super::stack;

pub struct MariaDb {
    pub name: String,
    connection: Conn,
    _connector: Connector,
}

impl MariaDb {
    /// An empty database `<test>_<process>`, so that topics of an earlier run cannot be mistaken for ours.
    pub async fn new(test: &str) -> MariaDb {
        remove_connectors(test).await;
        let name = format!("{test}_{}", std::process::id());
        let options = Opts::from_url(&stack("BULLION_MYSQL_URL")).unwrap();
        let mut connection = Conn::new(options)
            .await
            .expect("MariaDB answers: `stack/stack start mariadb`");
        let leftovers: Vec<String> = connection
            .query(format!("SHOW DATABASES LIKE '{test}\\_%'"))
            .await
            .unwrap();
        for database in leftovers.iter().filter(|name| is_of(test, name)) {
            let drop = format!("DROP DATABASE {database}");
            connection.query_drop(drop).await.unwrap();
        }
        for sql in [format!("CREATE DATABASE {name}"), format!("USE {name}")] {
            connection.query_drop(sql).await.unwrap();
        }
        MariaDb {
            _connector: Connector::named(&name),
            name,
            connection,
        }
    }

    /// The server's address with this database, password included: for the environment of a child.
    pub fn url(&self) -> String {
        format!("{}/{}", stack("BULLION_MYSQL_URL"), self.name)
    }

    pub async fn run(&mut self, sql: &str) {
        let done = self.connection.query_drop(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    }

    /// Rows as MariaDB writes them, columns separated by tabs, NULL as `\N`.
    pub async fn rows(&mut self, sql: &str) -> Vec<String> {
        let rows: Vec<Row> = self.connection.query(sql).await.unwrap();
        let cell = |value: Value| match value {
            Value::NULL => "\\N".to_owned(),
            Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            other => other.as_sql(true),
        };
        let line = |row: Row| row.unwrap().into_iter().map(cell).collect::<Vec<_>>();
        rows.into_iter().map(|row| line(row).join("\t")).collect()
    }

    /// Starts a connector for these tables and waits until it runs. Topics are `<name>.<name>.<table>`.
    pub async fn publish(&self, tables: &[&str], settings: &[(&str, &str)]) {
        let tables: Vec<String> = tables
            .iter()
            .map(|table| format!("{}.{table}", self.name))
            .collect();
        let history = format!("{}.history", self.name);
        // readers of the server's log that say the same number take it from each other
        let number = |sum: u32, byte: u8| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
        let server = (self.name.bytes().fold(7, number) >> 1).to_string();
        let own = [
            (
                "connector.class",
                "io.debezium.connector.mariadb.MariaDbConnector",
            ),
            ("database.hostname", &stack("BULLION_MARIADB_HOST")),
            ("database.port", &stack("BULLION_MARIADB_PORT")),
            ("database.user", &stack("BULLION_MARIADB_USER")),
            ("database.password", &stack("BULLION_MARIADB_PASSWORD")),
            ("database.server.id", &server),
            ("database.include.list", &self.name),
            ("database.ssl.mode", "disable"),
            ("topic.prefix", &self.name),
            ("table.include.list", &tables.join(",")),
            (
                "schema.history.internal.kafka.bootstrap.servers",
                &stack("BULLION_KAFKA_BROKERS"),
            ),
            ("schema.history.internal.kafka.topic", &history),
            ("bigint.unsigned.handling.mode", "precise"),
            ("binary.handling.mode", "base64"),
            ("skipped.operations", "none"),
        ];
        start_connector(&self.name, &own, settings).await;
    }
}
