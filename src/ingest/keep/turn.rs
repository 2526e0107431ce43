//! The order of the batches of one job.

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

/// A batch's place among those of its job: it looks into silver only when every earlier one is there.
#[derive(Debug, Default)]
pub struct Turn {
    pub(super) number: u64,
    before: Option<oneshot::Receiver<()>>,
    after: Option<oneshot::Sender<()>>,
}

impl Turn {
    /// The turn after this one.
    pub fn next(last: &mut Option<oneshot::Receiver<()>>, number: u64) -> Turn {
        let (after, waiting) = oneshot::channel();
        Turn {
            number,
            before: last.replace(waiting),
            after: Some(after),
        }
    }

    pub async fn wait(&mut self) -> Result<()> {
        let Some(before) = self.before.take() else {
            return Ok(());
        };
        before
            .await
            .map_err(|_| Error::new(Kind::Busy, "an earlier batch was not written"))
    }

    pub async fn pass(&mut self) -> Result<()> {
        self.wait().await?;
        if let Some(after) = self.after.take() {
            // nobody waits where this was the last batch
            let _ = after.send(());
        }
        Ok(())
    }
}
