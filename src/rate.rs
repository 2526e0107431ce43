//! No faster than so many rows a second, or so many windows a minute, all that are under way together. Pure but for [`Rate`].

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many in a second, a minute or an hour: `5000`, `10/m`, `600/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    count: u32,
    per: Per,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Per {
    const WORDS: [(Per, &'static str, u64); 3] = [
        (Per::Second, "s", 1),
        (Per::Minute, "m", 60),
        (Per::Hour, "h", 3600),
    ];

    fn told(self) -> (&'static str, u64) {
        let found = Per::WORDS.iter().find(|(per, ..)| *per == self);
        found.map_or(("s", 1), |(_, word, seconds)| (word, *seconds))
    }
}

impl Limit {
    /// What so many take at least.
    pub fn time_of(self, count: u64) -> Duration {
        let (_, seconds) = self.per.told();
        Duration::from_secs_f64(count as f64 * seconds as f64 / f64::from(self.count))
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        let (count, per) = text.split_once('/').unwrap_or((text, "s"));
        let per = Per::WORDS.iter().find(|(_, word, _)| *word == per);
        let count = count.parse().ok().filter(|count| *count > 0);
        match (count, per) {
            (Some(count), Some((per, ..))) => Ok(Limit { count, per: *per }),
            _ => Err("such as 5000 or 5000/s, 10/m, 600/h".to_owned()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.told().0)
    }
}

/// Rows as they are read: what is too many is waited for afterwards.
#[derive(Debug)]
pub struct Rate {
    limit: Option<Limit>,
    began: Instant,
    spent: AtomicU64,
}

impl Rate {
    /// None: as fast as it goes.
    pub fn new(limit: Option<Limit>) -> Rate {
        Rate {
            limit,
            began: Instant::now(),
            spent: AtomicU64::new(0),
        }
    }

    pub fn unlimited() -> Rate {
        Rate::new(None)
    }

    /// Rows that are read at once, a second's, so that a slow rate is no slow series of bursts.
    pub fn most_at_once(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| {
            let (_, seconds) = limit.per.told();
            let a_second = u64::from(limit.count) / seconds;
            usize::try_from(a_second.max(1)).unwrap_or(usize::MAX)
        })
    }

    /// After so many rows, what is left of the time that they may take.
    pub fn owed(&self, rows: u64) -> Duration {
        let spent = self.spent.fetch_add(rows, Ordering::Relaxed) + rows;
        let Some(limit) = self.limit else {
            return Duration::ZERO;
        };
        limit.time_of(spent).saturating_sub(self.began.elapsed())
    }

    pub async fn pause(&self, rows: u64) {
        let owed = self.owed(rows);
        if owed > Duration::ZERO {
            tokio::time::sleep(owed).await;
        }
    }
}

/// What begins one after the other, at even distances or further apart: after one that took long there is no burst.
#[derive(Debug)]
pub struct Spacing {
    apart: Duration,
    next: Option<Instant>,
}

impl Spacing {
    /// None: nothing waits.
    pub fn new(limit: Option<Limit>) -> Spacing {
        Spacing {
            apart: limit.map_or(Duration::ZERO, |limit| limit.time_of(1)),
            next: None,
        }
    }

    /// How long the next one, which could begin now, has to wait.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.apart);
        at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_and_shown() {
        for (text, shown, time_of_ten) in [
            ("5000", "5000/s", 0.002),
            ("20/s", "20/s", 0.5),
            ("10/m", "10/m", 60.0),
            ("1/h", "1/h", 36_000.0),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.to_string(), shown);
            assert_eq!(limit.time_of(10), Duration::from_secs_f64(time_of_ten));
        }
        for text in ["", "0", "0/m", "-1", "1.5", "10/d", "10/", "/m", "10 /m"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn rows_take_the_time_that_the_rate_gives_them() {
        let rate = Rate::new(Some("100".parse().unwrap()));
        rate.owed(500);
        let owed = rate.owed(500);
        assert!(
            owed > Duration::from_secs(9) && owed <= Duration::from_secs(10),
            "{owed:?}"
        );
        assert_eq!(rate.most_at_once(), 100);
        let slow = Rate::new(Some("90/m".parse().unwrap()));
        assert_eq!(slow.most_at_once(), 1);
        assert_eq!(Rate::unlimited().owed(u64::MAX / 2), Duration::ZERO);
    }

    #[test]
    fn what_begins_keeps_its_distance_and_makes_up_for_no_delay() {
        let mut spacing = Spacing::new(Some("10/m".parse().unwrap()));
        let begin = Instant::now();
        let mut wait = |seconds| {
            let now = begin + Duration::from_secs(seconds);
            spacing.wait(now).as_secs()
        };
        // three are ready at once
        assert_eq!([wait(0), wait(0), wait(0)], [0, 6, 12]);
        // the fourth is ready a little before its time, the fifth long after it
        assert_eq!([wait(17), wait(60)], [1, 0]);
        assert_eq!([wait(60), wait(60)], [6, 12]);
        let mut unlimited = Spacing::new(None);
        assert_eq!(unlimited.wait(begin), Duration::ZERO);
        assert_eq!(unlimited.wait(begin), Duration::ZERO);
    }
}
