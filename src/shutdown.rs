//! One signal, one drain deadline: a value that every flow is handed.

use std::io::Write as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// Airflow's supervisor kills 5 s after SIGTERM, so everything is over a second before.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(4);

/// Ends the process at once, whatever its threads do: an ordinary end runs what C++ libraries have left to be run then, under
/// threads that still use what is taken down (ClickHouse's engine ends by SIGSEGV so).
pub fn leave(exit: u8) -> ! {
    // nobody may be listening
    let _ = std::io::stdout().flush();
    // SAFETY: takes a number, touches no memory of ours, and does not return
    unsafe { libc::_exit(i32::from(exit)) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    /// How a run that this signal cut short ends: exit 130 or 143.
    pub fn error(self) -> Error {
        match self {
            Signal::Interrupt => Error::new(Kind::Interrupted, "interrupted"),
            Signal::Terminate => Error::new(Kind::Terminated, "terminated"),
        }
    }
}

/// A clone for everyone who has to stop.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<Option<Signal>>);

impl Shutdown {
    /// SIGINT and SIGTERM of this process; a second signal ends it at once.
    pub fn on_signals() -> Result<Shutdown> {
        let failed = |error| Error::new(Kind::Internal, "cannot listen for signals").because(error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                let (received, exit) = tokio::select! {
                    _ = interrupt.recv() => (Signal::Interrupt, 130),
                    _ = terminate.recv() => (Signal::Terminate, 143),
                };
                if sender.send_replace(Some(received)).is_some() {
                    leave(exit);
                }
            }
        });
        Ok(Shutdown(receiver))
    }

    /// A shutdown that never comes, and the sender that makes it come.
    pub fn manual() -> (watch::Sender<Option<Signal>>, Shutdown) {
        let (sender, receiver) = watch::channel(None);
        (sender, Shutdown(receiver))
    }

    /// The signal, if it has come.
    pub fn requested(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Waits for the signal.
    pub async fn wait(&self) -> Signal {
        let mut receiver = self.0.clone();
        loop {
            if let Some(signal) = *receiver.borrow_and_update() {
                return signal;
            }
            if receiver.changed().await.is_err() {
                // nobody is left who could ask us to stop
                std::future::pending::<()>().await;
            }
        }
    }
}
