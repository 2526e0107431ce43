//! Why a window would be built, or is left as it is: what the ledger and silver's changes say of it. Pure: no clock, no server.
//!
//! ```text
//! windows asked about ─┐                                          ┌ build: gold, backfill
//! ledger: Known ───────┼─▶ sort ─▶ one Planned each: its reason ──┤
//! dirty windows ───────┘                                          └ shown: plan
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ledger::{Known, State};
use crate::window::Window;

/// What a command builds of the windows it looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// whatever the ledger says
    Every,
    Due {
        missing: bool,
        dirty: bool,
    },
}

impl Wish {
    pub const MISSING: Wish = Wish::Due {
        missing: true,
        dirty: false,
    };
}

/// What a command looked for, beside a range. A run keeps it: a retry looks again for the jobs that the run did not come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    pub missing: bool,
    pub dirty: bool,
    pub incomplete: bool,
    pub large: bool,
}

impl Search {
    pub fn wish(self) -> Wish {
        Wish::Due {
            missing: self.missing,
            dirty: self.dirty,
        }
    }

    /// None where nothing was looked for: a range says by itself what is built.
    pub fn parse(words: &str) -> Option<Search> {
        let has = |wanted: &str| words.split(' ').any(|word| word == wanted);
        let search = Search {
            missing: has("missing"),
            dirty: has("dirty"),
            incomplete: has("incomplete"),
            large: has("large"),
        };
        (search.missing || search.dirty).then_some(search)
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.missing, "missing"),
            (self.dirty, "dirty"),
            (self.incomplete, "incomplete"),
            (self.large, "large"),
        ];
        let words: Vec<&str> = words
            .iter()
            .filter(|(is_meant, _)| *is_meant)
            .map(|(_, word)| *word)
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// How a window stands: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    NeverBuilt,
    /// a swap was cut off, or goes on
    MidSwap,
    Failed,
    Blocked,
    /// built from another SQL than the job has now
    Stale,
    /// built while it still went on
    Incomplete,
    Dirty,
    /// what it reads is built first, and may make it dirty
    Upstream,
    /// finished, and wanted all the same
    Asked,
    /// nothing is to do
    Finished,
}

impl Reason {
    const WORDS: [(Reason, &'static str); 10] = [
        (Reason::NeverBuilt, "never built"),
        (Reason::MidSwap, "in mid-swap"),
        (Reason::Failed, "failed"),
        (Reason::Blocked, "blocked by an audit"),
        (Reason::Stale, "built from an older SQL"),
        (Reason::Incomplete, "built before it ended"),
        (Reason::Dirty, "dirty"),
        (Reason::Upstream, "dirty if what it reads changes"),
        (Reason::Asked, "asked for"),
        (Reason::Finished, "finished"),
    ];

    pub fn as_str(self) -> &'static str {
        let found = Reason::WORDS.iter().find(|(reason, _)| *reason == self);
        found.map_or("finished", |(_, word)| word)
    }

    /// By the ledger alone.
    pub fn of(known: Option<&Known>, sql_hash: &str) -> Reason {
        let Some(known) = known else {
            return Reason::NeverBuilt;
        };
        if known.is_finished(sql_hash) {
            return Reason::Finished;
        }
        match known.state {
            State::Swapping => Reason::MidSwap,
            State::Failed => Reason::Failed,
            State::Blocked => Reason::Blocked,
            State::Done | State::Unchanged if known.sql_hash != sql_hash => Reason::Stale,
            State::Done | State::Unchanged => Reason::Incomplete,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A window that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub window: Window,
    pub reason: Reason,
    pub build: bool,
}

/// What is known of a job's windows.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    pub known: &'a [Known],
    pub dirty: &'a [Window],
    /// those that a build before this one may make dirty
    pub upstream: &'a [Window],
    /// of the SQL that the job has now
    pub sql_hash: &'a str,
}

/// Each of `windows`, in their order.
pub fn sort(windows: &[Window], standing: Standing<'_>, wish: Wish) -> Vec<Planned> {
    let known = standing.known.iter().map(|known| (known.window, known));
    let known: HashMap<Window, &Known> = known.collect();
    let dirty: HashSet<&Window> = standing.dirty.iter().collect();
    let upstream: HashSet<&Window> = standing.upstream.iter().collect();
    let planned = |window: &Window| {
        let by_ledger = Reason::of(known.get(window).copied(), standing.sql_hash);
        let is_missing = by_ledger != Reason::Finished;
        let is_dirty = dirty.contains(window);
        let build = match wish {
            Wish::Every => true,
            Wish::Due {
                missing,
                dirty: wanted,
            } => (missing && is_missing) || (wanted && is_dirty),
        };
        let reason = match by_ledger {
            Reason::Finished if is_dirty => Reason::Dirty,
            Reason::Finished if build => Reason::Asked,
            Reason::Finished if upstream.contains(window) => Reason::Upstream,
            reason => reason,
        };
        Planned {
            window: *window,
            reason,
            build,
        }
    };
    windows.iter().map(planned).collect()
}

/// The windows of `planned` that are to be built.
pub fn to_build(planned: &[Planned]) -> Vec<Window> {
    let build = planned.iter().filter(|planned| planned.build);
    build.map(|planned| planned.window).collect()
}

#[cfg(test)]
mod tests;
