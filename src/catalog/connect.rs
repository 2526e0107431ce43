//! A connection to a source PostgreSQL, with its errors sorted into kinds.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{self, Mode};
use crate::error::{Error, Kind, Result};
use crate::tls::{self, Distrust};

const TLS: tls::Settings = tls::Settings {
    address: "postgres.url",
    ca_file: "sslrootcert in postgres.url",
    certificate: None,
};

/// A database that answers at all does so well within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection, closed when dropped.
pub struct Source {
    pub(crate) client: Client,
    /// `host:port/database`, for messages
    pub place: String,
}

impl Source {
    /// The database that `postgres.url` names.
    pub async fn connect(config: &config::Postgres) -> Result<Source> {
        Source::connect_to(config, None).await
    }

    /// The same server and user, in another of its databases.
    pub async fn connect_to(config: &config::Postgres, database: Option<&str>) -> Result<Source> {
        let Some(url) = &config.url else {
            return Err(
                Error::new(Kind::Config, "no source database is configured").advise(
                    "set postgres.url in bullion.toml, or BULLION_POSTGRES_URL=postgres://user@host:5432/database \
and BULLION_POSTGRES_PASSWORD",
                ),
            );
        };
        let mut options: tokio_postgres::Config = url.parse().map_err(|error| {
            Error::new(Kind::Config, "postgres.url cannot be understood").because(error)
        })?;
        if let Some(password) = &config.password {
            options.password(password.expose_secret());
        }
        if let Some(database) = database {
            options.dbname(database);
        }
        options
            .application_name("bullion")
            .connect_timeout(CONNECT_TIMEOUT);
        let place = place(&options);
        // the one place that decides about TLS
        let client = match config.tls.mode {
            Mode::Disable => {
                options.ssl_mode(SslMode::Disable);
                serve(options.connect(NoTls).await)
            }
            mode => {
                options.ssl_mode(match mode {
                    Mode::Prefer => SslMode::Prefer,
                    _ => SslMode::Require,
                });
                let tls = MakeRustlsConnect::new(tls::postgres::client(&config.tls)?);
                serve(options.connect(tls).await)
            }
        };
        let client = client.map_err(|error| explain(&place, error))?;
        Ok(Source { client, place })
    }

    /// The name of the database that is connected to.
    pub fn database(&self) -> String {
        let (_, database) = self.place.rsplit_once('/').unwrap_or_default();
        database.to_owned()
    }

    pub(crate) fn explain(&self, error: tokio_postgres::Error) -> Error {
        explain(&self.place, error)
    }
}

/// The connection ends by itself when the client is dropped; what breaks it is told by the query that was running.
fn serve<S, T>(
    connected: Result<(Client, Connection<S, T>), tokio_postgres::Error>,
) -> Result<Client, tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = connected?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

fn place(options: &tokio_postgres::Config) -> String {
    use tokio_postgres::config::Host;
    let host = match options.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = options.get_ports().first().copied().unwrap_or(5432);
    let database = options.get_dbname().or(options.get_user()).unwrap_or("");
    format!("{host}:{port}/{database}")
}

fn explain(place: &str, error: tokio_postgres::Error) -> Error {
    let Some(server) = error.as_db_error() else {
        if let Some(distrust) = Distrust::of(&error) {
            return distrust.error(&format!("PostgreSQL at {place}"), &TLS);
        }
        if beneath(&error).contains("does not support TLS") {
            let message = format!("PostgreSQL at {place} has no TLS (ssl = off)");
            return Error::new(Kind::Denied, message)
                .advise("switch it on there, or take sslmode out of postgres.url");
        }
        return match error.is_closed() || std::error::Error::source(&error).is_some() {
            true => Error::new(
                Kind::Unreachable,
                format!("cannot reach PostgreSQL at {place}"),
            ),
            false => Error::new(Kind::Config, format!("cannot use PostgreSQL at {place}")),
        }
        .because(error);
    };
    let said = crate::refusal::postgres(server.code().code(), server.message());
    if let Some((kind, advice)) = refused(&said) {
        return Error::new(kind, format!("PostgreSQL at {place}: {said}")).advise(advice);
    }
    let code = server.code();
    let kind = if *code == SqlState::INVALID_PASSWORD
        || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        || *code == SqlState::INSUFFICIENT_PRIVILEGE
    {
        Kind::Denied
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        Kind::NotFound
    } else if *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::TOO_MANY_CONNECTIONS {
        Kind::Busy
    } else {
        Kind::Query
    };
    Error::new(kind, format!("PostgreSQL at {place}: {said}"))
}

fn beneath(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}

/// What PostgreSQL and Debezium say when replication cannot work, whose turn it is, and the command that helps.
const REFUSALS: [(&[&str], Kind, &str); 8] = [
    (
        &["password authentication failed"],
        Kind::Denied,
        "check database.user and the password in the environment of the process that connects",
    ),
    (
        &["wal_level"],
        Kind::Mismatch,
        "logical decoding needs it: run `ALTER SYSTEM SET wal_level = logical;` and restart PostgreSQL (a reload is not enough)",
    ),
    (
        &["publication", "already exists"],
        Kind::Mismatch,
        "another connector or a person made it: give publication.name a name of its own, or, when nobody uses it \
(`SELECT * FROM pg_publication_tables;`), `DROP PUBLICATION <name>;`",
    ),
    (
        &["replication slot", "already exists"],
        Kind::Mismatch,
        "another connector made it: give slot.name a name of its own, or, when nobody reads it, \
`SELECT pg_drop_replication_slot('<name>');`",
    ),
    (
        &["replication slot", "is active"],
        Kind::Mismatch,
        "another reader holds the slot: one slot serves one connector, give slot.name a name of its own",
    ),
    (
        &["all replication slots are in use"],
        Kind::Mismatch,
        "drop slots nobody reads (`SELECT slot_name, active FROM pg_replication_slots;`) or raise \
max_replication_slots and restart PostgreSQL",
    ),
    (
        &["FOR ALL TABLES"],
        Kind::Mismatch,
        "such a publication cannot be narrowed: give publication.name a name of its own",
    ),
    (
        &["replication", "permission denied"],
        Kind::Denied,
        "`ALTER ROLE <user> REPLICATION;` as a superuser, and SELECT on the tables",
    ),
];

/// The kind and the advice for a text that PostgreSQL or a connector is known to fail with.
pub fn refused(text: &str) -> Option<(Kind, &'static str)> {
    REFUSALS
        .iter()
        .find(|(words, ..)| words.iter().all(|word| text.contains(word)))
        .map(|(_, kind, advice)| (*kind, *advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_are_known_to_say_is_answered_with_a_command() {
        let advice = |text: &str| refused(text).map(|(kind, advice)| (kind.policy().exit, advice));
        let (_, publication) =
            advice("ERROR: publication \"shop\" already exists").expect("known text");
        assert!(publication.contains("DROP PUBLICATION"));
        let (_, level) =
            advice("Postgres server wal_level property must be 'logical' but is: 'replica'")
                .expect("known text");
        assert!(level.contains("ALTER SYSTEM SET wal_level = logical"));
        let (exit, _) =
            advice("FATAL: password authentication failed for user \"shop\"").expect("known text");
        assert_eq!(exit, 2);
        assert_eq!(refused("division by zero"), None);
    }
}
