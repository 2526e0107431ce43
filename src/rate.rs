//! No faster than so many rows a second, all chunks under way together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Rate {
    per_second: Option<u64>,
    began: Instant,
    spent: AtomicU64,
}

impl Rate {
    /// None: as fast as it goes.
    pub fn new(per_second: Option<u64>) -> Rate {
        Rate {
            per_second: per_second.filter(|rate| *rate > 0),
            began: Instant::now(),
            spent: AtomicU64::new(0),
        }
    }

    pub fn unlimited() -> Rate {
        Rate::new(None)
    }

    /// Rows that are read at once, so that a slow rate is no slow series of bursts.
    pub fn most_at_once(&self) -> usize {
        self.per_second.map_or(usize::MAX, |rate| {
            usize::try_from(rate).unwrap_or(usize::MAX)
        })
    }

    /// After so many rows, what is left of the time that they may take.
    pub fn owed(&self, rows: u64) -> Duration {
        let spent = self.spent.fetch_add(rows, Ordering::Relaxed) + rows;
        let Some(rate) = self.per_second else {
            return Duration::ZERO;
        };
        let due = Duration::from_secs_f64(spent as f64 / rate as f64);
        due.saturating_sub(self.began.elapsed())
    }

    pub async fn pause(&self, rows: u64) {
        let owed = self.owed(rows);
        if owed > Duration::ZERO {
            tokio::time::sleep(owed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_the_time_that_the_rate_gives_them() {
        let rate = Rate::new(Some(100));
        rate.owed(500);
        let owed = rate.owed(500);
        assert!(
            owed > Duration::from_secs(9) && owed <= Duration::from_secs(10),
            "{owed:?}"
        );
        assert_eq!(rate.most_at_once(), 100);
        assert_eq!(Rate::unlimited().owed(u64::MAX / 2), Duration::ZERO);
    }
}
