//! How long rows wait for others.

use std::time::Duration;

use super::awaited::{Awaited, Outlook};

/// The delete of a change of key may be in a partition that is read later or by another process: so long is waited when all of
/// them have been read past it …
pub const PATIENCE: Duration = Duration::from_secs(120);
/// … and so long for a process that does not get there: it may wait for us in the same way.
const FOR_OTHERS: Duration = Duration::from_secs(3_600);
/// After a bounded part was read: ingest may be about to write what lies behind its end.
const FOR_STRAGGLERS: Duration = Duration::from_secs(5);
/// A round that takes longer waits for ClickHouse, as the rows do that it looks for: no more than this of it counts.
const LONGEST_ROUND: Duration = Duration::from_secs(2);

/// Whose rows wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// ingest's, which reads for ever
    Stream,
    /// of a bounded part, which has an end
    Part,
    /// nobody else is writing what its rows may lean on
    Alone,
}

/// How long rows have waited while those they wait for could have come.
#[derive(Debug, Default)]
pub struct Waited {
    /// all partitions were read past them
    passed: Duration,
    /// those that are ours were
    by_us: Duration,
}

impl Waited {
    /// One more look, and the pause after it, of rows whose newest is of this time.
    pub fn round(
        &mut self,
        (looking, pause): (Duration, Duration),
        outlook: Outlook,
        time: Option<i64>,
    ) {
        let took = looking.min(LONGEST_ROUND) + pause;
        let has_passed = |reached: i64| reached > time.unwrap_or(i64::MIN);
        if has_passed(outlook.own) {
            self.by_us += took;
            if has_passed(outlook.others) {
                self.passed += took;
            }
        }
    }

    pub fn is_over(&self, patience: Patience, awaited: &Awaited) -> bool {
        match patience {
            Patience::Alone => true,
            Patience::Stream => self.passed >= PATIENCE || self.by_us >= FOR_OTHERS,
            Patience::Part => self.passed >= FOR_STRAGGLERS && awaited.is_settled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIME: Option<i64> = Some(1_000);

    fn after(rounds: u32, took: (Duration, Duration), own: i64, others: i64) -> bool {
        let mut waited = Waited::default();
        (0..rounds).for_each(|_| waited.round(took, Outlook { own, others }, TIME));
        waited.is_over(Patience::Stream, &Awaited::default())
    }

    #[test]
    fn what_is_not_read_yet_is_waited_for() {
        let pause = (Duration::ZERO, SECOND);
        assert!(after(120, pause, 1_001, 1_001));
        // other changes of the same time may come first
        assert!(!after(1_000_000, pause, 1_000, i64::MAX));
        // by us never in vain, by others for an hour
        assert!(!after(1_000_000, pause, 999, 999));
        assert!(!after(3_599, pause, i64::MAX, 999));
        assert!(after(3_600, pause, i64::MAX, 999));
    }

    #[test]
    fn a_lost_clickhouse_does_not_use_up_patience_and_neither_does_what_is_held_up() {
        let lost = (300 * SECOND, Duration::ZERO);
        assert!(!after(2, lost, i64::MAX, i64::MAX));
        let mut waited = Waited::default();
        (0..10_000).for_each(|_| waited.round((SECOND, SECOND), Outlook::HELD_UP, None));
        assert!(!waited.is_over(Patience::Stream, &Awaited::default()));
    }

    #[test]
    fn a_bounded_part_is_waited_for_to_its_end_and_no_longer_than_others_move() {
        let awaited = Awaited::default();
        let mut waited = Waited::default();
        (0..10_000).for_each(|_| waited.round((SECOND, SECOND), Outlook::HELD_UP, TIME));
        assert!(!waited.is_over(Patience::Part, &awaited));
        (0..3).for_each(|_| waited.round((SECOND, SECOND), Outlook::CLEAR, TIME));
        assert!(waited.is_over(Patience::Part, &awaited));
        awaited.wait_for(1, vec![vec![1], vec![2]], 0);
        awaited.wait_for(1, vec![vec![1]], 0);
        assert!(!waited.is_over(Patience::Part, &awaited));
    }
}
