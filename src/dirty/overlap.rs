//! Which windows a change lies in. Pure: no clock, no server.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::ledger::Seen;
use crate::window::{Calendar, Grain, Window};

/// Something that windows read was changed, somewhere in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// by ClickHouse's clock, in microseconds
    pub at: i64,
}

/// The windows that were built before a change within their span.
pub(super) fn dirty(seen: &[Seen], mut changes: Vec<Change>) -> Vec<Window> {
    changes.sort_unstable_by_key(|change| change.from);
    let longest = changes.iter().map(|change| change.to - change.from).max();
    let longest = longest.unwrap_or_default();
    let is_dirty = |seen: &&Seen| {
        let from = seen.window.from;
        let first = changes.partition_point(|change| change.from + longest <= from);
        let near = changes.get(first..).unwrap_or_default().iter();
        near.take_while(|change| change.from < seen.window.to)
            // at the same microsecond nobody knows which came first
            .any(|change| change.to > from && change.at >= seen.input_at)
    };
    let dirty = seen.iter().filter(is_dirty).map(|seen| seen.window);
    let mut dirty: Vec<Window> = dirty.collect();
    dirty.sort_unstable();
    dirty
}

/// The windows of a calendar that hold a change and were never built.
pub(super) fn unseen(seen: &[Seen], changes: &[Change], calendar: Calendar) -> BTreeSet<Window> {
    let seen: BTreeSet<Window> = seen.iter().map(|seen| seen.window).collect();
    let mut unseen = BTreeSet::new();
    for change in changes.iter().filter(|change| change.at > 0) {
        let span = Window {
            from: change.from,
            to: change.to,
        };
        // a whole table's change is in every window that there is, and says of none that it holds anything
        if span == Window::EVERYTHING && calendar.grain != Grain::Table {
            continue;
        }
        unseen.extend(windows_of(change, calendar).filter(|window| !seen.contains(window)));
    }
    unseen
}

/// The windows that hold a part of a change, oldest first.
pub(super) fn windows_of(change: &Change, calendar: Calendar) -> impl Iterator<Item = Window> {
    let first = calendar.window_at(change.from);
    let windows = std::iter::successors(Some(first), move |window| Some(calendar.after(*window)));
    let to = change.to;
    windows
        .take_while(move |window| window.from < to)
        .filter(Window::is_a_partition)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn built() -> Vec<Seen> {
        let built = |day: i64| Seen {
            window: window(day * 6, day * 6 + 6),
            input_at: 100,
            changed_at: 0,
        };
        (0..8).map(built).collect()
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
        let found = dirty(&built(), changes);
        assert_eq!(found, [window(6, 12), window(30, 36)]);
        assert_eq!(dirty(&built(), Vec::new()), []);
    }

    #[test]
    fn the_end_of_a_span_is_not_within_it() {
        let found = dirty(&built(), vec![change(5, 6, 200)]);
        assert_eq!(found, [window(0, 6)]);
        let found = dirty(&built(), vec![change(6, 7, 200)]);
        assert_eq!(found, [window(6, 12)]);
    }

    #[test]
    fn a_long_change_among_short_ones_is_found_from_its_end_too() {
        let mut changes: Vec<Change> = (0..40).map(|hour| change(hour, hour + 1, 1)).collect();
        changes.push(change(1, 20, 200));
        let found = dirty(&built(), changes);
        assert_eq!(
            found,
            [window(0, 6), window(6, 12), window(12, 18), window(18, 24)]
        );
    }

    #[test]
    fn every_change_tells_all_of_its_windows_whichever_comes_first() {
        let calendar = Calendar {
            grain: Grain::Day,
            zone: chrono_tz::America::New_York,
        };
        // two dates: each is a day of UTC and one of New York, 29 hours together
        let dates = [change(0, 29, 1), change(24, 53, 1)];
        let day = |number: i64| window(number * 24 + 5, number * 24 + 29);
        let of = |change: &Change| windows_of(change, calendar).collect::<Vec<_>>();
        // the first of them begins in 1969, and is no partition
        assert_eq!(of(&dates[0]), [day(0)]);
        assert_eq!(of(&dates[1]), [day(0), day(1)]);
        for order in [[0, 1], [1, 0]] {
            let found: BTreeSet<Window> = order.iter().flat_map(|at| of(&dates[*at])).collect();
            assert_eq!(found, BTreeSet::from([day(0), day(1)]));
        }
    }

    #[test]
    fn a_window_that_was_never_built_is_known_by_what_changed_in_it() {
        let calendar = Calendar {
            grain: Grain::Hour,
            zone: chrono_tz::UTC,
        };
        let seen = [Seen {
            window: window(3, 4),
            input_at: 0,
            changed_at: 0,
        }];
        let changes = [change(3, 4, 1), change(7, 9, 1), change(-4, -3, 1)];
        let found: Vec<Window> = unseen(&seen, &changes, calendar).into_iter().collect();
        // no partition begins before 1970
        assert_eq!(found, [window(7, 8), window(8, 9)]);

        let everything = Change {
            from: Window::EVERYTHING.from,
            to: Window::EVERYTHING.to,
            at: 1,
        };
        assert!(unseen(&seen, &[everything], calendar).is_empty());
        let whole = Calendar {
            grain: Grain::Table,
            ..calendar
        };
        let found = unseen(&[], &[everything], whole);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [Window::EVERYTHING]);
    }
}
