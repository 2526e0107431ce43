//! When a job that follows its input is built. Pure: whoever asks tells the time, counted from any one instant.
//!
//! ```text
//! changes   x x  x x        x x x x x x x x x x x x x x x x
//! builds           │◀QUIET▶█       │◀─── LONGEST ───▶█  │◀PAUSE▶█
//! ```

use std::time::Duration;

/// A burst is over when nothing has changed for so long: ingest writes four times a second at the head of a topic, and every
/// two seconds behind it.
pub const QUIET: Duration = Duration::from_secs(3);
/// A stream that never pauses is built nevertheless: gold is at most so much older than silver, and a build's own time.
pub const LONGEST: Duration = Duration::from_secs(15);
/// Between two builds of a job at least. Where the last one took longer than that, the pause is as long as it was: at most half of
/// ClickHouse's time goes into a job that is slow.
pub const PAUSE: Duration = Duration::from_secs(5);
/// After a build that failed, doubled by each further one. What it failed by may be over at the next try, or need a person.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// How long to wait after so many builds that failed one after the other.
pub fn retry_after(failures: u32) -> Duration {
    let doubled = 1 << failures.saturating_sub(1).min(10);
    FIRST_RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

/// What is known of one job.
#[derive(Clone, Debug, Default)]
pub struct Debounce {
    /// the first and the last change that no build has begun after
    pending: Option<(Duration, Duration)>,
    not_before: Duration,
    failures: u32,
}

impl Debounce {
    pub fn changed(&mut self, now: Duration) {
        let first = self.pending.map_or(now, |(first, _)| first);
        self.pending = Some((first, now));
    }

    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// When to build; nothing where nothing has changed.
    pub fn due(&self) -> Option<Duration> {
        let (first, last) = self.pending?;
        Some((last + QUIET).min(first + LONGEST).max(self.not_before))
    }

    /// What changes from now on is for the next build.
    pub fn begin(&mut self) {
        self.pending = None;
    }

    pub fn succeed(&mut self, began: Duration, now: Duration) {
        self.failures = 0;
        self.not_before = now + PAUSE.max(now.saturating_sub(began));
    }

    /// What earlier builds failed by is over: a server is back.
    pub fn forgive(&mut self, now: Duration) {
        if self.failures > 0 {
            self.failures = 0;
            self.not_before = now;
        }
    }

    /// It is still to be built.
    pub fn fail(&mut self, now: Duration) {
        self.failures += 1;
        self.not_before = now + retry_after(self.failures);
        self.changed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Plays the seconds up to `end`: a change wherever `changes` says so, builds that take `long`. Says when builds began.
    fn builds(end: u64, long: u64, changes: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut debounce = Debounce::default();
        let mut builds = Vec::new();
        let mut busy_until = 0;
        for second in 0..end {
            if changes(second) {
                debounce.changed(at(second));
            }
            let is_due = debounce.due().is_some_and(|due| due <= at(second));
            if second >= busy_until && is_due {
                builds.push(second);
                debounce.begin();
                debounce.succeed(at(second), at(second + long));
                busy_until = second + long;
            }
        }
        builds
    }

    #[test]
    fn a_burst_is_built_once_when_it_is_over() {
        assert_eq!(builds(60, 0, |_| false), [0; 0]);
        assert_eq!(builds(60, 0, |second| second == 7), [10]);
        assert_eq!(builds(60, 0, |second| (7..12).contains(&second)), [14]);
    }

    #[test]
    fn a_constant_stream_is_built_every_quarter_of_a_minute() {
        assert_eq!(builds(60, 0, |_| true), [15, 31, 47]);
    }

    #[test]
    fn a_slow_build_pauses_for_as_long_as_it_took() {
        assert_eq!(builds(150, 30, |_| true), [15, 75, 135]);
        // and so does a fast one, for a few seconds
        let two = |second| second == 1 || second == 5;
        assert_eq!(builds(60, 0, two), [4, 9]);
    }

    #[test]
    fn a_change_during_a_build_is_for_the_next_one() {
        let mut debounce = Debounce::default();
        debounce.changed(at(0));
        debounce.begin();
        debounce.changed(at(4));
        debounce.succeed(at(3), at(5));
        assert_eq!(debounce.due(), Some(at(10)));
        debounce.begin();
        debounce.succeed(at(10), at(11));
        assert_eq!((debounce.due(), debounce.is_pending()), (None, false));
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often() {
        let mut debounce = Debounce::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            debounce.begin();
            debounce.fail(now);
            let due = debounce.due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        debounce.begin();
        debounce.succeed(now, now);
        debounce.fail(now);
        assert_eq!(debounce.due(), Some(now + at(10)));
        // what it failed by is over
        debounce.forgive(now + at(1));
        assert_eq!(debounce.due(), Some(now + at(3)));
    }
}
