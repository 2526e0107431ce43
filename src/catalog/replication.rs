//! What logical replication needs of a source: `wal_level`, slots, publications.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::Source;
use crate::error::{Error, Kind, Result};

/// A connector that was just removed lets go of its slot within this.
const SLOT_RELEASE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// The server's side of a connector.
#[derive(Clone, Debug)]
pub struct Replication {
    pub wal_level: String,
    pub slot: Option<Slot>,
    pub publication: Option<Publication>,
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub active: bool,
    pub database: Option<String>,
    pub plugin: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Publication {
    pub all_tables: bool,
    /// `schema.table`, where it names tables
    pub tables: Vec<String>,
}

const SLOT: &str =
    "SELECT active, database::text, plugin::text FROM pg_replication_slots WHERE slot_name = $1";
const PUBLICATION: &str =
    "SELECT p.puballtables, array(SELECT format('%s.%s', t.schemaname, t.tablename)
        FROM pg_publication_tables t WHERE t.pubname = p.pubname ORDER BY 1)
    FROM pg_publication p WHERE p.pubname = $1";

impl Source {
    pub async fn replication(&self, slot: &str, publication: &str) -> Result<Replication> {
        let level = self.client.query_one("SHOW wal_level", &[]).await;
        let level = level.map_err(|error| self.explain(error))?;
        let publication = self.client.query_opt(PUBLICATION, &[&publication]).await;
        let publication = publication.map_err(|error| self.explain(error))?;
        Ok(Replication {
            wal_level: level.get(0),
            slot: self.slot(slot).await?,
            publication: publication.map(|row| Publication {
                all_tables: row.get(0),
                tables: row.get(1),
            }),
        })
    }

    async fn slot(&self, name: &str) -> Result<Option<Slot>> {
        let row = self.client.query_opt(SLOT, &[&name]).await;
        let row = row.map_err(|error| self.explain(error))?;
        Ok(row.map(|row| Slot {
            active: row.get(0),
            database: row.get(1),
            plugin: row.get(2),
        }))
    }

    /// The slot, once nobody reads it or patience is at its end.
    pub async fn released_slot(&self, name: &str, patience: Duration) -> Result<Option<Slot>> {
        let deadline = Instant::now() + patience;
        loop {
            let slot = self.slot(name).await?;
            let held = slot.as_ref().is_some_and(|slot| slot.active);
            if !held || Instant::now() > deadline {
                return Ok(slot);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Drops the slot once nobody reads it; false where there was none.
    pub async fn drop_slot(&self, name: &str) -> Result<bool> {
        let Some(slot) = self.released_slot(name, SLOT_RELEASE).await? else {
            return Ok(false);
        };
        let drop = "SELECT pg_drop_replication_slot($1)";
        match self.client.execute(drop, &[&name]).await {
            Ok(_) => Ok(true),
            Err(error) if slot.active || error.code() == Some(&SqlState::OBJECT_IN_USE) => {
                let message = format!("slot {name} in {} is still being read", self.place);
                Err(Error::new(Kind::Busy, message).advise(format!(
                    "see who reads it: `SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{name}';`"
                )))
            }
            Err(error) => Err(self.explain(error)),
        }
    }

    /// False where there was none.
    pub async fn drop_publication(&self, name: &str) -> Result<bool> {
        let quoted = name.replace('"', "\"\"");
        let dropped = self
            .client
            .batch_execute(&format!("DROP PUBLICATION \"{quoted}\""))
            .await;
        match dropped {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(false),
            Err(error) => Err(self.explain(error)),
        }
    }
}
