//! Queries under way: their ids, and how they are stopped.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::{Code, Failure};
use super::handle::Engine;
use super::request::quoted;

/// Between two attempts to stop a query whose client went away.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Ids of the queries under way.
#[derive(Clone)]
pub struct Running {
    engine: Engine,
    ids: Arc<Mutex<HashSet<String>>>,
}

impl Running {
    pub fn new(engine: Engine) -> Running {
        Running {
            engine,
            ids: Arc::default(),
        }
    }

    /// Takes the id until the ticket is finished; two queries of one id are refused, as the server does.
    pub fn enter(&self, id: &str) -> Result<Arc<Ticket>, Failure> {
        if !self.ids().insert(id.to_owned()) {
            return Err(Failure::new(
                Code::SameQueryId,
                format!("Query with id = {id} is already running"),
            ));
        }
        Ok(Arc::new(Ticket {
            id: id.to_owned(),
            running: self.clone(),
            finished: AtomicBool::new(false),
        }))
    }

    /// Asks the engine to stop everything; returns before it has.
    pub fn kill_all(&self) {
        self.kill("1");
    }

    fn kill(&self, condition: &str) {
        let sql = format!("KILL QUERY WHERE {condition} ASYNC");
        let killed = self
            .engine
            .session()
            .and_then(|mut session| session.query(sql.as_bytes(), "Null", &[]));
        if let Err(failure) = killed {
            tracing::warn!("cannot stop a query: {failure}");
        }
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<String>> {
        // a set of strings is never half-written
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Ticket {
    pub id: String,
    running: Running,
    finished: AtomicBool,
}

impl Ticket {
    /// From here on there is nothing to stop.
    pub fn finish(&self) {
        if !self.finished.swap(true, Ordering::AcqRel) {
            self.running.ids().remove(&self.id);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Stops the query when it is dropped first: the client went away.
pub struct Cancel(Option<Arc<Ticket>>);

impl Cancel {
    pub fn of(ticket: &Arc<Ticket>) -> Cancel {
        Cancel(Some(Arc::clone(ticket)))
    }

    /// Somebody else watches from here on.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        let Some(ticket) = self.0.take() else { return };
        if ticket.finished.load(Ordering::Acquire) {
            return;
        }
        // A thread of its own: a drop cannot wait, and it may run while the runtime is being shut down.
        std::thread::spawn(move || {
            let condition = format!("Settings['log_comment'] = {}", quoted(&ticket.id));
            let mut pause = FIRST_PAUSE;
            // again and again, as a query that has not begun yet cannot be killed yet
            while !ticket.finished.load(Ordering::Acquire) {
                ticket.running.kill(&condition);
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }
}
