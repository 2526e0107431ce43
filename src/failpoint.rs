//! Named points between poll and commit, and inside a swap, where a test ends, freezes or holds up the process.
//!
//! ```text
//! BULLION_FAILPOINT=before-commit:3:kill     at the third time; several, comma-separated
//!                   insert-acked:1:stop      SIGSTOP, until somebody sends SIGCONT
//!                   after-poll:2:hold=8000   whoever is there goes on so many milliseconds later
//! ```
//!
//! Compiled in only with the cargo feature `failpoints`, by which the integration suite is built. In what is shipped
//! [`reach`] and [`pass`] are empty.

/// In the order in which a batch passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    AfterPoll,
    Decoded,
    DeadLettersWritten,
    /// the rows' event times are noted, and nobody sees the rows yet
    TimesEntered,
    BeforeInsert,
    InsertAcked,
    BeforeCommit,
    /// the commit was sent, and Kafka has not answered
    DuringCommit,
    CheckpointWritten,
    /// the windows are dirty, the earlier times not left
    Touched,
    /// a file of the archive is whole and not yet where it belongs
    BeforeArchive,
    /// it is there, and what it covers is not committed
    Archived,
    /// a table was changed for rows that are not inserted yet
    DdlDone,
    /// of `resync`: its shadow table is made
    ResyncBegun,
    ResyncFilled,
    /// the lease is ours, and the tables are not swapped yet
    ResyncChecked,
    ResyncSwapped,
    ResyncCopied,
    /// the lease is ours, and the old table is still there
    ResyncDropping,
    ResyncDropped,
    /// of `gold`: staging holds the window's rows
    StagingFilled,
    /// of `gold`: the lease is ours, and the swap not announced yet
    LeaseChecked,
    /// of `gold`: the ledger says `swapping`, and nothing is swapped yet
    SwapAnnounced,
    /// of `gold`: the partition is replaced, and the ledger does not say so yet
    Swapped,
    /// of `backfill`: a chunk's rows are durable, and the ledger does not say so yet
    ChunkWritten,
    ChunkDone,
    /// of `backfill`: every chunk is done, and gold not begun
    SilverFilled,
}

/// On a thread that may block.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_: Point) {}

/// In a task.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub async fn pass(_: Point) {}

#[cfg(feature = "failpoints")]
pub use armed::{pass, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    const VARIABLE: &str = "BULLION_FAILPOINT";
    const POINTS: &[(&str, Point)] = &[
        ("after-poll", Point::AfterPoll),
        ("decoded", Point::Decoded),
        ("dead-letters-written", Point::DeadLettersWritten),
        ("before-insert", Point::BeforeInsert),
        ("insert-acked", Point::InsertAcked),
        ("before-commit", Point::BeforeCommit),
        ("during-commit", Point::DuringCommit),
        ("checkpoint-written", Point::CheckpointWritten),
        ("times-entered", Point::TimesEntered),
        ("touched", Point::Touched),
        ("before-archive", Point::BeforeArchive),
        ("archived", Point::Archived),
        ("ddl-done", Point::DdlDone),
        ("resync-begun", Point::ResyncBegun),
        ("resync-filled", Point::ResyncFilled),
        ("resync-checked", Point::ResyncChecked),
        ("resync-swapped", Point::ResyncSwapped),
        ("resync-copied", Point::ResyncCopied),
        ("resync-dropping", Point::ResyncDropping),
        ("resync-dropped", Point::ResyncDropped),
        ("staging-filled", Point::StagingFilled),
        ("lease-checked", Point::LeaseChecked),
        ("swap-announced", Point::SwapAnnounced),
        ("swapped", Point::Swapped),
        ("chunk-written", Point::ChunkWritten),
        ("chunk-done", Point::ChunkDone),
        ("silver-filled", Point::SilverFilled),
    ];

    struct Armed {
        point: Point,
        /// times that it is passed unharmed
        left: AtomicU64,
        action: Action,
    }

    #[derive(Clone, Copy)]
    enum Action {
        Signal(Signal),
        Hold(Duration),
    }

    pub fn reach(point: Point) {
        if let Some(time) = meet(point) {
            std::thread::sleep(time);
        }
    }

    pub async fn pass(point: Point) {
        if let Some(time) = meet(point) {
            tokio::time::sleep(time).await;
        }
    }

    /// Acts on those that are due; for how long to hold.
    fn meet(point: Point) -> Option<Duration> {
        static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| {
            let given = std::env::var(VARIABLE).unwrap_or_default();
            let parts = given.split(',').filter(|part| !part.is_empty());
            parts.map(parse).collect()
        });
        let here = armed.iter().filter(|armed| armed.point == point);
        // it wraps after the one time that counts
        let due: Vec<&Armed> = here
            .filter(|armed| armed.left.fetch_sub(1, Ordering::SeqCst) == 1)
            .collect();
        let mut hold = None;
        for armed in due {
            tracing::warn!(?point, "fail point");
            match armed.action {
                // can only fail for a process that is not there
                Action::Signal(signal) => drop(kill_process(getpid(), signal)),
                Action::Hold(time) => hold = Some(time),
            }
        }
        hold
    }

    /// A test that is misspelt must not pass for one that found nothing.
    #[allow(clippy::panic, reason = "only in builds for tests, at their start")]
    fn parse(text: &str) -> Armed {
        let read = || {
            let mut parts = text.split(':');
            let name = parts.next()?;
            let (_, point) = POINTS.iter().find(|(known, _)| *known == name)?;
            let left = AtomicU64::new(parts.next()?.parse().ok()?);
            let action = match parts.next()? {
                "kill" => Action::Signal(Signal::KILL),
                "stop" => Action::Signal(Signal::STOP),
                other => {
                    let time = other.strip_prefix("hold=")?.parse().ok()?;
                    Action::Hold(Duration::from_millis(time))
                }
            };
            Some(Armed {
                point: *point,
                left,
                action,
            })
        };
        read().unwrap_or_else(|| panic!("{VARIABLE}: what is `{text}`?"))
    }
}
