//! A lease as a row of a PostgreSQL that several hosts share; its clock is the only one that counts.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::catalog::Source;
use crate::config;
use crate::error::{Error, Kind, Result};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS bullion_leases
(target text PRIMARY KEY, token bigint NOT NULL, holder text NOT NULL, expires_at timestamptz NOT NULL)";
/// One statement, so that of two who come at once one gets no row.
const ACQUIRE: &str = "INSERT INTO bullion_leases AS held (target, token, holder, expires_at)
VALUES ($1, $2::bigint + 1, $3, clock_timestamp() + $4::float8 * interval '1 second')
ON CONFLICT (target) DO UPDATE SET token = greatest(held.token, $2::bigint) + 1, holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE held.expires_at <= clock_timestamp() RETURNING token";
const HOLDER: &str = "SELECT holder FROM bullion_leases WHERE target = $1";
const HELD: &str =
    "SELECT token FROM bullion_leases WHERE target = $1 AND expires_at > clock_timestamp()";
/// A released lease has expired since ever, and is not renewed.
const RENEW: &str =
    "UPDATE bullion_leases SET expires_at = clock_timestamp() + $3::float8 * interval '1 second'
WHERE target = $1 AND token = $2 AND expires_at > '-infinity'";
const OURS: &str =
    "SELECT 1 FROM bullion_leases WHERE target = $1 AND token = $2 AND expires_at > '-infinity'";
const RELEASE: &str =
    "UPDATE bullion_leases SET expires_at = '-infinity' WHERE target = $1 AND token = $2";

pub(super) struct PostgresLease {
    /// made anew when it was lost: PostgreSQL may restart while a build goes on
    source: Mutex<Source>,
    config: config::Postgres,
    target: String,
    token: i64,
    ttl: Duration,
}

impl PostgresLease {
    pub async fn acquire(
        config: &config::Postgres,
        target: &str,
        ttl: Duration,
        floor: u64,
    ) -> Result<PostgresLease> {
        let source = Source::connect(config).await?;
        // two who make it at once: one fails, and finds it made
        let made = source.client.execute(TABLE, &[]).await;
        let floor = i64::try_from(floor).unwrap_or(i64::MAX - 1);
        let holder = super::holder();
        let values: [&(dyn ToSql + Sync); 4] = [&target, &floor, &holder, &ttl.as_secs_f64()];
        let taken = source.client.query_opt(ACQUIRE, &values).await;
        let row = taken.map_err(|error| source.explain(made.err().unwrap_or(error)))?;
        let Some(row) = row else {
            let other = source.client.query_opt(HOLDER, &[&target]).await;
            let other = other.map_err(|error| source.explain(error))?;
            let other: String = other.map_or_else(String::new, |row| row.get(0));
            let message = format!("{target} is being built by {other}");
            return Err(Error::new(Kind::LeaseHeld, message));
        };
        Ok(PostgresLease {
            token: row.get(0),
            target: target.to_owned(),
            source: Mutex::new(source),
            config: config.clone(),
            ttl,
        })
    }

    /// The token that has the lease now, for those who only look.
    pub async fn held(config: &config::Postgres, target: &str) -> Result<Option<u64>> {
        let source = Source::connect(config).await?;
        match source.client.query_opt(HELD, &[&target]).await {
            Ok(row) => Ok(row.map(|row| u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())),
            // nobody ever took one
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
            Err(error) => Err(source.explain(error)),
        }
    }

    pub fn token(&self) -> u64 {
        u64::try_from(self.token).unwrap_or_default()
    }

    pub async fn is_ours(&self) -> Result<bool> {
        Ok(self.ask(OURS, &[&self.target, &self.token]).await? == 1)
    }

    /// False once somebody else has it.
    pub async fn renew(&self) -> Result<bool> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.target, &self.token, &self.ttl.as_secs_f64()];
        Ok(self.ask(RENEW, &values).await? == 1)
    }

    pub async fn release(&self) -> Result<()> {
        self.ask(RELEASE, &[&self.target, &self.token]).await?;
        Ok(())
    }

    /// How many rows the statement found.
    async fn ask(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let mut source = self.source.lock().await;
        if source.client.is_closed() {
            *source = Source::connect(&self.config).await?;
        }
        let asked = source.client.execute(sql, values).await;
        asked.map_err(|error| source.explain(error))
    }
}
