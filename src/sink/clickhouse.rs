//! ClickHouse over HTTP: statements, typed queries and Native inserts, with its errors sorted into kinds.

mod refused;

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use clickhouse::{Client, Compression, RowOwned, RowRead, RowWrite};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret;

use crate::config;
use crate::error::{Error, Kind, Result};
use crate::tls::{self, Distrust};

pub use crate::quoting::{literal, quote};
pub use refused::{error_code, kind_of_code};

/// A connection pool to one server. Cheap to clone.
#[derive(Clone)]
pub struct ClickHouse {
    client: Client,
    url: String,
    cluster: Option<String>,
    insert_timeout: Duration,
    /// nothing where a statement may take as long as it takes
    answer_timeout: Option<Duration>,
}

impl ClickHouse {
    pub fn new(config: &config::ClickHouse) -> Result<ClickHouse> {
        let loopback = ["127.0.0.1", "localhost", "[::1]"];
        let local = loopback.iter().any(|host| config.url.contains(host));
        let mut client = http(config)?
            .with_url(&config.url)
            .with_user(&config.user)
            .with_database(&config.database)
            // compressing costs more than it saves when no network lies between
            .with_compression(if local {
                Compression::None
            } else {
                Compression::Lz4
            });
        if let Some(password) = &config.password {
            client = client.with_password(password.expose_secret());
        }
        Ok(ClickHouse {
            client,
            url: config.url.clone(),
            cluster: config.cluster.clone(),
            insert_timeout: config.insert_timeout,
            answer_timeout: None,
        })
    }

    /// The same for whoever holds others up while it waits: no answer within the time of an insert is none.
    #[must_use]
    pub fn answering_in_time(&self) -> ClickHouse {
        ClickHouse {
            answer_timeout: Some(self.insert_timeout),
            ..self.clone()
        }
    }

    /// The same server, after it has answered once.
    pub async fn connect(config: &config::ClickHouse) -> Result<ClickHouse> {
        let clickhouse = ClickHouse::new(config)?;
        // `SELECT 1` and not /ping: a wrong password is to be found now
        match tokio::time::timeout(FIRST_ANSWER, clickhouse.one::<u8>("SELECT 1")).await {
            Ok(answer) => answer.map(|_| clickhouse),
            Err(_) => Err(Error::new(
                Kind::Unreachable,
                format!(
                    "clickhouse at {} did not answer within {} s",
                    config.url,
                    FIRST_ANSWER.as_secs()
                ),
            )),
        }
    }

    /// The crate's own client, for query parameters and settings.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same, and every statement bears this in ClickHouse's own logs.
    #[must_use]
    pub fn commented(&self, comment: &str) -> ClickHouse {
        ClickHouse {
            client: self.client.clone().with_setting("log_comment", comment),
            ..self.clone()
        }
    }

    /// ` ON CLUSTER x`, or nothing.
    pub fn on_cluster(&self) -> String {
        let quoted = self.cluster.as_deref().map(quote);
        quoted.map_or_else(String::new, |name| format!(" ON CLUSTER {name}"))
    }

    pub fn is_replicated(&self) -> bool {
        self.cluster.is_some()
    }

    pub async fn execute(&self, sql: &str) -> Result<()> {
        self.in_time(self.client.query_raw(sql).execute()).await
    }

    /// Rows of a table into another one on the server: `rest` says from where and which, and may carry its data.
    pub(crate) async fn copy(&self, into: &str, columns: &str, rest: &str) -> Result<()> {
        let sql = format!("INSERT INTO {into} ({columns}) SELECT {columns} {rest}");
        let mut copied = self.long(&sql);
        for (name, value) in [NO_DUPLICATES, ANY_PARTITIONS] {
            copied = copied.with_setting(name, value);
        }
        self.in_time(copied.execute()).await
    }

    pub async fn all<T: RowOwned + RowRead>(&self, sql: &str) -> Result<Vec<T>> {
        self.in_time(self.client.query_raw(sql).fetch_all()).await
    }

    /// The same of a statement that carries its data.
    pub(crate) async fn all_long<T: RowOwned + RowRead>(&self, sql: &str) -> Result<Vec<T>> {
        self.in_time(self.long(sql).fetch_all()).await
    }

    /// The answer's blocks in `FORMAT Native`. The statement may carry its data, so it may be long.
    pub(crate) async fn native(&self, sql: &str) -> Result<Bytes> {
        self.in_time(async { self.long(sql).fetch_bytes("Native")?.collect().await })
            .await
    }

    pub async fn one<T: RowOwned + RowRead>(&self, sql: &str) -> Result<T> {
        self.in_time(self.client.query_raw(sql).fetch_one()).await
    }

    fn long(&self, sql: &str) -> clickhouse::query::Query {
        let asked = self.client.query_raw(sql);
        asked.with_setting("max_query_size", LONGEST_QUERY)
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T> {
        let answer = match self.answer_timeout {
            None => asked.await,
            Some(most) => tokio::time::timeout(most, asked)
                .await
                .unwrap_or(Err(clickhouse::error::Error::TimedOut)),
        };
        answer.map_err(|error| self.explain(error))
    }

    /// Its own clock, in microseconds since 1970.
    pub async fn now(&self) -> Result<i64> {
        self.one("SELECT toUnixTimestamp64Micro(now64(6))").await
    }

    /// One INSERT of one block in Native format. Anything but an `Ok` is an unknown outcome: send it again.
    pub async fn insert_native(&self, table: &str, columns: &[&str], block: Bytes) -> Result<()> {
        let mut sql = format!("INSERT INTO {table} (");
        for (index, column) in columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            // writing to a String cannot fail
            let _ = write!(sql, "{comma}{}", quote(column));
        }
        sql.push_str(") FORMAT Native");
        let mut insert = self
            .client
            .insert_formatted_with(sql)
            .with_timeouts(Some(self.insert_timeout), Some(self.insert_timeout));
        for (name, value) in INSERT_SETTINGS {
            insert = insert.with_setting(name, value);
        }
        let sent = async {
            insert.send(block).await?;
            insert.end().await
        };
        sent.await.map_err(|error| self.explain(error))
    }

    /// A few rows of our own bookkeeping, in one request; column names come from the row's type.
    pub async fn insert_rows<T: RowOwned + RowWrite>(&self, table: &str, rows: &[T]) -> Result<()> {
        self.insert_lent::<T>(table, rows).await
    }

    /// The same for rows that borrow what they are made of.
    pub async fn insert_lent<T: RowWrite>(&self, table: &str, rows: &[T::Value<'_>]) -> Result<()> {
        let sent = async {
            // the crate's check of types gives up at a Tuple whose fields have names; ours are fixed by clickhouse/*.sql
            let mut insert = self
                .client
                .clone()
                .with_validation(false)
                .insert_unescaped::<T>(table)
                .await?
                .with_timeouts(Some(self.insert_timeout), Some(self.insert_timeout));
            for (name, value) in INSERT_SETTINGS {
                insert = insert.with_setting(name, value);
            }
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        sent.await.map_err(|error| self.explain(error))
    }

    /// Sorts an error of the crate into a kind and names the server. No value of a row is in its message.
    pub fn explain(&self, error: clickhouse::error::Error) -> Error {
        self.sort(error, crate::refusal::clickhouse)
    }

    /// The same in the server's own words, for who asks to see rows.
    pub fn explain_whole(&self, error: clickhouse::error::Error) -> Error {
        self.sort(error, str::to_owned)
    }

    fn sort(&self, error: clickhouse::error::Error, told: fn(&str) -> String) -> Error {
        use clickhouse::error::Error as Cause;
        let text = error.to_string();
        match error {
            Cause::BadResponse(_) => refused::sorted(&text, told),
            Cause::Network(_) => {
                if let Some(distrust) = Distrust::of(&error) {
                    return distrust.error(&format!("clickhouse at {}", self.url), &TLS);
                }
                let beneath = innermost(&error);
                let message = format!("cannot reach clickhouse at {}: {beneath}", self.url);
                Error::new(Kind::Unreachable, message)
            }
            Cause::TimedOut => Error::new(
                Kind::Busy,
                format!("clickhouse at {} did not answer in time", self.url),
            ),
            // an exception in the middle of an answer arrives as text of another error
            other => match error_code(&text) {
                Some(_) => refused::sorted(&text, told),
                None => Error::new(Kind::Busy, format!("bad answer from clickhouse: {other}")),
            },
        }
    }
}

/// The crate's own client, unless a CA is named: it knows the system's only.
fn http(config: &config::ClickHouse) -> Result<Client> {
    let Some(ca_file) = config
        .ca_file
        .as_deref()
        .filter(|_| config.url.starts_with("https:"))
    else {
        return Ok(Client::default());
    };
    let mut tcp = HttpConnector::new();
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.enforce_http(false);
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(Some(ca_file))?)
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .build(tls);
    Ok(Client::with_http_client(http))
}

/// As the crate has them: ClickHouse closes what was idle for three seconds.
const IDLE: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(60);

const TLS: tls::Settings = tls::Settings {
    address: "clickhouse.url",
    ca_file: "clickhouse.ca_file",
    certificate: None,
};

/// A server that takes connections and says nothing is as good as none.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Bytes; ClickHouse itself says 256 KiB.
const LONGEST_QUERY: &str = "67108864";

/// What makes one request one part.
const INSERT_SETTINGS: [(&str, &str); 6] = [
    // on by default since 26.3: would answer before the rows are written, or drop some as duplicates
    ("async_insert", "0"),
    // rows come sorted and collapsed already: 0.24 s instead of 1.04 s per million
    ("optimize_on_insert", "0"),
    NO_DUPLICATES,
    // one block in, one block out
    ("max_insert_block_size", "1000000000"),
    ("min_insert_block_size_rows", "0"),
    ANY_PARTITIONS,
];

/// Rows recomputed to identical bytes must never vanish.
const NO_DUPLICATES: (&str, &str) = ("insert_deduplicate", "0");
/// A block reaches as far back as the source does, in silver that has partitions; ClickHouse itself says 100.
const ANY_PARTITIONS: (&str, &str) = ("max_partitions_per_insert_block", "0");

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
