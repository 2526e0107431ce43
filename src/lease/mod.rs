//! One writer per target: a named lease with a fencing token that only rises.
//!
//! A check before the swap is no fence (a process may be stopped between the two), so a new holder first drops the
//! staging tables of every older token: a stale owner's REPLACE then fails by itself.

mod file;
mod postgres;
mod released;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use file::FileLease;
use postgres::PostgresLease;
use released::GoingOn;
pub use released::released;

use tokio::runtime::Handle;

use crate::config::{self, LeasePlace};
use crate::error::{Error, Kind, Result};

/// A held lease, renewed in the background until it is released or dropped: then it is free, and where it is in PostgreSQL
/// as soon as [`released`] says.
pub struct Lease {
    held: Arc<Held>,
    heartbeat: tokio::task::JoinHandle<()>,
}

struct Held {
    target: String,
    place: Place,
    lost: AtomicBool,
}

enum Place {
    /// one host
    File(FileLease),
    /// several hosts
    Postgres(Box<PostgresLease>),
}

/// Renewals within one time-to-live: two may fail before the lease is lost.
const RENEWALS: u32 = 3;
/// A release that takes longer is left to the lease's expiry; SIGTERM leaves no more time.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(500);

impl Lease {
    /// Takes the lease of `target`, with a token above `floor` and every earlier one; `LeaseHeld` where somebody has it.
    pub async fn acquire(config: &config::Lease, target: &str, floor: u64) -> Result<Lease> {
        // it may be our own
        released().await;
        let place = match &config.place {
            LeasePlace::File { folder } => {
                Place::File(FileLease::acquire(folder, target, config.ttl, floor)?)
            }
            LeasePlace::Postgres(postgres) => {
                return acquire_whole(postgres.clone(), target.to_owned(), config.ttl, floor).await;
            }
        };
        Ok(Lease::of(target, place, config.ttl))
    }

    fn of(target: &str, place: Place, ttl: Duration) -> Lease {
        let held = Arc::new(Held {
            target: target.to_owned(),
            place,
            lost: AtomicBool::new(false),
        });
        let heartbeat = tokio::spawn(renew(Arc::clone(&held), ttl / RENEWALS));
        Lease { held, heartbeat }
    }

    /// The token that has the lease of `target` now, for those who only look.
    pub async fn held(config: &config::Lease, target: &str) -> Result<Option<u64>> {
        match &config.place {
            LeasePlace::File { folder } => FileLease::held(folder, target),
            LeasePlace::Postgres(postgres) => PostgresLease::held(postgres, target).await,
        }
    }

    pub fn token(&self) -> u64 {
        match &self.held.place {
            Place::File(lease) => lease.token(),
            Place::Postgres(lease) => lease.token(),
        }
    }

    /// An error once somebody else has taken over.
    pub async fn check(&self) -> Result<()> {
        let lost = self.held.lost.load(Ordering::Relaxed);
        let ours = match &self.held.place {
            _ if lost => false,
            Place::File(lease) => lease.is_ours()?,
            Place::Postgres(lease) => lease.is_ours().await?,
        };
        if ours {
            return Ok(());
        }
        let message = format!("the lease of {} was taken over", self.held.target);
        Err(Error::new(Kind::LeaseHeld, message)
            .advise("this process was silent for longer than lease.ttl; it swaps and drops nothing from here on"))
    }

    /// Frees it for others at once.
    pub async fn release(self) {
        drop(self);
        released().await;
    }
}

/// Goes on where whoever asked is dropped meanwhile, by a signal perhaps: PostgreSQL may have given the lease already, and one
/// that nobody takes is freed.
async fn acquire_whole(
    postgres: config::Postgres,
    target: String,
    ttl: Duration,
    floor: u64,
) -> Result<Lease> {
    let acquiring = tokio::spawn(async move {
        let going_on = GoingOn::begin();
        let lease = PostgresLease::acquire(&postgres, &target, ttl, floor).await;
        let lease = lease.map(|lease| Lease::of(&target, Place::Postgres(Box::new(lease)), ttl));
        // in this order: where nobody takes them, the lease is being freed before this one has ended
        (lease, going_on)
    });
    acquiring.await.map_err(Error::panicked)?.0
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
        match (&self.held.place, Handle::try_current()) {
            (Place::File(lease), _) => {
                if let Err(error) = lease.release() {
                    self.held.expires_by_itself(&error.to_string());
                }
            }
            (Place::Postgres(_), Ok(runtime)) => {
                let (held, going_on) = (Arc::clone(&self.held), GoingOn::begin());
                runtime.spawn(async move {
                    held.free().await;
                    drop(going_on);
                });
            }
            (Place::Postgres(_), Err(_)) => self.held.expires_by_itself("the process ends"),
        }
    }
}

impl Held {
    /// In PostgreSQL.
    async fn free(&self) {
        let Place::Postgres(lease) = &self.place else {
            return;
        };
        match tokio::time::timeout(RELEASE_TIMEOUT, lease.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.expires_by_itself(&error.to_string()),
            Err(_) => self.expires_by_itself("no answer in time"),
        }
    }

    fn expires_by_itself(&self, error: &str) {
        tracing::warn!(
            lease = self.target,
            error,
            "cannot release the lease; it expires by itself"
        );
    }
}

async fn renew(held: Arc<Held>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let renewed = match &held.place {
            Place::File(lease) => lease.renew(),
            Place::Postgres(lease) => lease.renew().await,
        };
        match renewed {
            Ok(true) => {}
            Ok(false) => {
                held.lost.store(true, Ordering::Relaxed);
                tracing::error!(lease = held.target, "the lease was taken over");
                return;
            }
            Err(error) => tracing::warn!(lease = held.target, %error, "cannot renew the lease"),
        }
    }
}

/// Who we are, for those who find the lease held.
fn holder() -> String {
    format!("{}/{}", crate::ledger::host(), std::process::id())
}
