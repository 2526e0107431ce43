use super::*;
use crate::ledger::Contents;
use crate::window::{Calendar, Grain};

const NOW: &str = "now";

fn days(count: usize) -> Vec<Window> {
    let calendar = Calendar {
        grain: Grain::Day,
        zone: chrono_tz::UTC,
    };
    let first = calendar.window_at("2024-03-01T00:00:00Z".parse().unwrap());
    std::iter::successors(Some(first), |window| Some(calendar.after(*window)))
        .take(count)
        .collect()
}

fn known(window: Window, state: State, sql_hash: &str, whole: bool) -> Known {
    Known {
        window,
        state,
        sql_hash: sql_hash.to_owned(),
        staging: String::new(),
        contents: Contents::default(),
        input_at: 0,
        whole,
    }
}

/// What the ledger can say of a window, and what that is called.
fn ledger(days: &[Window]) -> (Vec<Known>, Vec<Reason>) {
    let words = [
        (State::Done, NOW, true, Reason::Finished),
        (State::Unchanged, NOW, true, Reason::Finished),
        (State::Done, "older", true, Reason::Stale),
        (State::Unchanged, "older", false, Reason::Stale),
        (State::Swapping, NOW, true, Reason::MidSwap),
        (State::Failed, NOW, true, Reason::Failed),
        (State::Failed, "older", true, Reason::Failed),
        (State::Blocked, NOW, true, Reason::Blocked),
        (State::Done, NOW, false, Reason::Incomplete),
    ];
    let known = words
        .iter()
        .zip(days)
        .map(|(word, day)| known(*day, word.0, word.1, word.2));
    let mut reasons: Vec<Reason> = words.iter().map(|word| word.3).collect();
    reasons.push(Reason::NeverBuilt);
    (known.collect(), reasons)
}

fn standing<'a>(known: &'a [Known], dirty: &'a [Window]) -> Standing<'a> {
    Standing {
        known,
        dirty,
        upstream: &[],
        sql_hash: NOW,
    }
}

fn reasons(planned: &[Planned]) -> Vec<Reason> {
    planned.iter().map(|planned| planned.reason).collect()
}

#[test]
fn whatever_is_not_finished_from_the_present_sql_is_missing_and_named() {
    let days = days(10);
    let (known, named) = ledger(&days);
    let planned = sort(&days, standing(&known, &[]), Wish::MISSING);
    assert_eq!(reasons(&planned), named);
    assert_eq!(to_build(&planned), days[2..]);
    let none = sort(&days, standing(&[], &[]), Wish::MISSING);
    assert_eq!(to_build(&none), days);
}

#[test]
fn a_dirty_window_is_built_however_it_stands_and_no_other() {
    let days = days(10);
    let (known, named) = ledger(&days);
    let wish = Wish::Due {
        missing: false,
        dirty: true,
    };
    let dirty = [days[1], days[5]];
    let planned = sort(&days, standing(&known, &dirty), wish);
    assert_eq!(to_build(&planned), dirty);
    assert_eq!(planned[1].reason, Reason::Dirty);
    assert_eq!(planned[5].reason, Reason::Failed);
    assert_eq!(planned[9].reason, Reason::NeverBuilt);
    let both = Wish::Due {
        missing: true,
        dirty: true,
    };
    let planned = sort(&days, standing(&known, &dirty), both);
    assert_eq!(to_build(&planned), days[1..]);
    assert_eq!(reasons(&planned)[2..], named[2..]);
}

#[test]
fn a_finished_window_that_is_wanted_all_the_same_is_asked_for() {
    let days = days(10);
    let (known, _) = ledger(&days);
    let planned = sort(&days, standing(&known, &days[1..2]), Wish::Every);
    assert_eq!(to_build(&planned), days);
    assert_eq!(reasons(&planned)[..2], [Reason::Asked, Reason::Dirty]);
}

#[test]
fn a_build_before_it_may_make_a_finished_window_dirty() {
    let days = days(10);
    let (known, _) = ledger(&days);
    let standing = Standing {
        upstream: &days,
        ..standing(&known, &days[1..2])
    };
    let wish = Wish::Due {
        missing: false,
        dirty: true,
    };
    let planned = sort(&days, standing, wish);
    assert_eq!(
        reasons(&planned)[..3],
        [Reason::Upstream, Reason::Dirty, Reason::Stale]
    );
    assert_eq!(to_build(&planned), days[1..2]);
}

#[test]
fn what_was_looked_for_is_read_as_it_was_written() {
    let search = Search {
        missing: false,
        dirty: true,
        incomplete: true,
        large: false,
    };
    assert_eq!(search.to_string(), "dirty incomplete");
    assert_eq!(Search::parse("dirty incomplete"), Some(search));
    assert_eq!(Search::parse(""), None);
}
