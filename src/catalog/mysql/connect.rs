//! A connection to a source MySQL or MariaDB, with its errors sorted into kinds.

use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder};
use secrecy::ExposeSecret;

use crate::config;
use crate::error::{Error, Kind, Result};

/// A database that answers at all does so well within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection, closed when dropped.
pub struct MysqlSource {
    pub(crate) connection: Conn,
    /// `host:port`, for messages
    pub place: String,
    /// the database that the address names
    pub database: Option<String>,
}

impl MysqlSource {
    /// The server that `mysql.url` names.
    pub async fn connect(config: &config::Mysql) -> Result<MysqlSource> {
        let Some(url) = &config.url else {
            return Err(
                Error::new(Kind::Config, "no source MySQL is configured").advise(
                    "set mysql.url in bullion.toml, or BULLION_MYSQL_URL=mysql://user@host:3306/database \
and BULLION_MYSQL_PASSWORD; `?require_ssl=true` asks for TLS",
                ),
            );
        };
        let options = Opts::from_url(url).map_err(|error| {
            Error::new(Kind::Config, "mysql.url cannot be understood").because(error)
        })?;
        let place = format!("{}:{}", options.ip_or_hostname(), options.tcp_port());
        let database = options.db_name().map(str::to_owned);
        let mut builder = OptsBuilder::from_opts(options).prefer_socket(false);
        if let Some(password) = &config.password {
            builder = builder.pass(Some(password.expose_secret()));
        }
        crate::tls::install();
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(builder)).await;
        let connection = match connected {
            Ok(connected) => connected.map_err(|error| explain(&place, error))?,
            Err(_) => {
                let message = format!("MySQL at {place} does not answer");
                return Err(Error::new(Kind::Unreachable, message));
            }
        };
        Ok(MysqlSource {
            connection,
            place,
            database,
        })
    }

    /// Another connection to the same server, for what one connection cannot do beside.
    pub(crate) async fn again(&self) -> Result<Conn> {
        let connected = Conn::new(self.connection.opts().clone()).await;
        connected.map_err(|error| self.explain(error))
    }

    pub(crate) fn explain(&self, error: mysql_async::Error) -> Error {
        explain(&self.place, error)
    }
}

/// Server errors that say who may do what: access denied to user, to database, to command, to column.
const DENIED: [u16; 4] = [1044, 1045, 1142, 1143];
const UNKNOWN_DATABASE: u16 = 1049;
const TOO_MANY_CONNECTIONS: u16 = 1040;

fn explain(place: &str, error: mysql_async::Error) -> Error {
    let mysql_async::Error::Server(said) = &error else {
        let message = format!("cannot reach MySQL at {place}");
        return Error::new(Kind::Unreachable, message).because(error);
    };
    let kind = match said.code {
        code if DENIED.contains(&code) => Kind::Denied,
        UNKNOWN_DATABASE => Kind::NotFound,
        TOO_MANY_CONNECTIONS => Kind::Busy,
        _ => Kind::Query,
    };
    let told = crate::refusal::mysql(said.code, &said.message);
    Error::new(kind, format!("MySQL at {place}: {told}"))
}
