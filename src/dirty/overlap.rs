//! Which windows a change lies in. Pure: no clock, no server.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::ledger::Seen;
use crate::window::Window;

/// Something that windows read was changed, somewhere in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// by ClickHouse's clock, in microseconds
    pub at: i64,
}

/// The windows that were built before a change to what they read: their own span, and `lookback` before it.
pub(super) fn dirty(
    seen: impl Iterator<Item = Seen>,
    mut changes: Vec<Change>,
    lookback: Duration,
) -> Vec<Window> {
    changes.sort_unstable_by_key(|change| change.from);
    let longest = changes.iter().map(|change| change.to - change.from).max();
    let longest = longest.unwrap_or_default();
    let lookback = chrono::Duration::from_std(lookback).unwrap_or(chrono::Duration::MAX);
    let is_dirty = |seen: &Seen| {
        let from = seen.window.from.checked_sub_signed(lookback);
        let from = from.unwrap_or(DateTime::<Utc>::MIN_UTC);
        let first = changes.partition_point(|change| change.from + longest <= from);
        let near = changes.get(first..).unwrap_or_default().iter();
        near.take_while(|change| change.from < seen.window.to)
            // at the same microsecond nobody knows which came first
            .any(|change| change.to > from && change.at >= seen.input_at)
    };
    let mut dirty: Vec<Window> = seen.filter(is_dirty).map(|seen| seen.window).collect();
    dirty.sort_unstable();
    dirty
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    fn window(from: i64, to: i64) -> Window {
        Window {
            from: at(from),
            to: at(to),
        }
    }

    /// Windows of six hours, each built at microsecond 100.
    fn built() -> impl Iterator<Item = Seen> {
        (0..8).map(|day| Seen {
            window: window(day * 6, day * 6 + 6),
            input_at: 100,
            changed_at: 0,
        })
    }

    fn change(from: i64, to: i64, microsecond: i64) -> Change {
        Change {
            from: at(from),
            to: at(to),
            at: microsecond,
        }
    }

    #[test]
    fn a_window_is_dirty_by_a_change_within_it_after_its_build_began() {
        let changes = vec![
            change(7, 8, 100),
            change(8, 9, 7),
            change(30, 31, 101),
            change(13, 14, 99),
        ];
        let found = dirty(built(), changes, Duration::ZERO);
        assert_eq!(found, [window(6, 12), window(30, 36)]);
        assert_eq!(dirty(built(), Vec::new(), Duration::ZERO), []);
    }

    #[test]
    fn the_end_of_a_span_is_not_within_it() {
        let found = dirty(built(), vec![change(5, 6, 200)], Duration::ZERO);
        assert_eq!(found, [window(0, 6)]);
        let found = dirty(built(), vec![change(6, 7, 200)], Duration::ZERO);
        assert_eq!(found, [window(6, 12)]);
    }

    #[test]
    fn a_long_change_among_short_ones_is_found_from_its_end_too() {
        let mut changes: Vec<Change> = (0..40).map(|hour| change(hour, hour + 1, 1)).collect();
        changes.push(change(1, 20, 200));
        let found = dirty(built(), changes, Duration::ZERO);
        assert_eq!(
            found,
            [window(0, 6), window(6, 12), window(12, 18), window(18, 24)]
        );
    }

    #[test]
    fn what_is_looked_back_at_counts() {
        let found = dirty(built(), vec![change(4, 5, 200)], 8 * HOUR);
        assert_eq!(found, [window(0, 6), window(6, 12), window(12, 18)]);
    }
}
