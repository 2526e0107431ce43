//! One writer per target: a named lease with a fencing token that only rises.
//!
//! A check before the swap is no fence (a process may be stopped between the two), so a new holder first drops the
//! staging tables of every older token: a stale owner's REPLACE then fails by itself.

mod file;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use file::FileLease;

use crate::config::{self, LeasePlace};
use crate::error::{Error, Kind, Result};

/// A held lease; renewed in the background until it is released or dropped.
pub struct Lease {
    held: Arc<Held>,
    heartbeat: tokio::task::JoinHandle<()>,
}

struct Held {
    target: String,
    place: FileLease,
    lost: AtomicBool,
}

/// Renewals within one time-to-live: two may fail before the lease is lost.
const RENEWALS: u32 = 3;

impl Lease {
    /// Takes the lease of `target`, with a token above `floor` and every earlier one; `LeaseHeld` where somebody has it.
    pub async fn acquire(config: &config::Lease, target: &str, floor: u64) -> Result<Lease> {
        let LeasePlace::File { folder } = &config.place else {
            return Err(
                Error::new(Kind::Config, "lease.kind = \"postgres\" is not built yet")
                    .advise("use lease.kind = \"file\" and run gold jobs on one host"),
            );
        };
        let place = FileLease::acquire(folder, target, config.ttl, floor)?;
        let held = Arc::new(Held {
            target: target.to_owned(),
            place,
            lost: AtomicBool::new(false),
        });
        let heartbeat = tokio::spawn(renew(Arc::clone(&held), config.ttl / RENEWALS));
        Ok(Lease { held, heartbeat })
    }

    pub fn token(&self) -> u64 {
        self.held.place.token()
    }

    /// An error once somebody else has taken over.
    pub fn check(&self) -> Result<()> {
        if self.held.lost.load(Ordering::Relaxed) || !self.held.place.is_ours()? {
            let message = format!("the lease of {} was taken over", self.held.target);
            return Err(Error::new(Kind::LeaseHeld, message)
                .advise("this process was silent for longer than lease.ttl; nothing was swapped"));
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
        if let Err(error) = self.held.place.release() {
            tracing::warn!(target = self.held.target, %error, "cannot release the lease; it expires by itself");
        }
    }
}

async fn renew(held: Arc<Held>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match held.place.renew() {
            Ok(true) => {}
            Ok(false) => {
                held.lost.store(true, Ordering::Relaxed);
                tracing::error!(target = held.target, "the lease was taken over");
                return;
            }
            Err(error) => tracing::warn!(target = held.target, %error, "cannot renew the lease"),
        }
    }
}
