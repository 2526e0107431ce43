//! Releases that go on in the background: whoever drops a lease cannot wait for PostgreSQL.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;

/// How many go on in this process.
static GOING_ON: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));
/// Each has a deadline of its own; this is for one whose runtime has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// One that goes on, until this is dropped.
pub(super) struct GoingOn(());

impl GoingOn {
    pub(super) fn begin() -> GoingOn {
        GOING_ON.send_modify(|count| *count += 1);
        GoingOn(())
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        GOING_ON.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits until every lease that this process has dropped is free: at its end, and before it takes another.
pub async fn released() {
    let mut going_on = GOING_ON.subscribe();
    // what takes longer expires by itself, and has said so
    let _ = tokio::time::timeout(PATIENCE, going_on.wait_for(|count| *count == 0)).await;
}
