//! What the batches of one job know of rows that are still to come, and whether those can come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Shared by all writes of a job.
#[derive(Debug, Default)]
pub struct Awaited {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// (key, number of its batch)
    keys: BTreeSet<(Vec<u8>, u64)>,
    /// batch → the moves that had been made before it looked last
    looked: BTreeMap<u64, u64>,
    /// how often a batch got rid of rows that had waited
    moves: u64,
    outlook: Outlook,
    /// partition → the last batch that was handed over while it was ours
    given_up: BTreeMap<i32, u64>,
}

/// Times of the source, in milliseconds since 1970, that all partitions of the topic have passed: what is older was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// of the partitions that are ours
    pub own: i64,
    /// of those that other processes read, as far as they tell
    pub others: i64,
}

impl Outlook {
    /// Nothing can come now: it is no time to wait in vain.
    pub const HELD_UP: Outlook = Outlook {
        own: i64::MIN,
        others: i64::MIN,
    };
    /// Everything there is was read.
    pub const CLEAR: Outlook = Outlook {
        own: i64::MAX,
        others: i64::MAX,
    };
}

impl Default for Outlook {
    fn default() -> Outlook {
        Outlook::HELD_UP
    }
}

impl Awaited {
    /// Keys whose rows earlier batches still wait for.
    pub(super) fn before(&self, number: u64) -> BTreeSet<Vec<u8>> {
        let state = self.state();
        let earlier = state.keys.iter().filter(|(_, batch)| *batch < number);
        earlier.map(|(key, _)| key.clone()).collect()
    }

    /// What a batch still waits for, after a look that began behind so many moves. Whoever waits is told of fewer.
    pub(super) fn wait_for(&self, number: u64, keys: Vec<Vec<u8>>, moves: u64) {
        let mut state = self.state();
        let all = state.keys.len();
        state.keys.retain(|(_, batch)| *batch != number);
        let moved = keys.len() < all - state.keys.len();
        state.moves += u64::from(moved);
        match keys.is_empty() {
            true => state.looked.remove(&number),
            false => state.looked.insert(number, moves),
        };
        state.keys.extend(keys.into_iter().map(|key| (key, number)));
        drop(state);
        if moved {
            self.moved.notify_waiters();
        }
    }

    /// The batch has failed: it looks no more, and what it waited for was not written.
    pub(super) fn leave(&self, number: u64) {
        self.state().looked.remove(&number);
        self.moved.notify_waiters();
    }

    /// Batches that wait.
    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.state().looked.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn moves(&self) -> u64 {
        self.state().moves
    }

    /// Ends when rows that waited do so no more, or when there is nothing left to read.
    pub(super) fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// Whether every batch that waits has looked in vain since the last move: where nothing more is read, none will find
    /// anything.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        state.looked.values().all(|moves| *moves == state.moves)
    }

    pub(super) fn outlook(&self) -> Outlook {
        self.state().outlook
    }

    pub fn set_outlook(&self, outlook: Outlook) {
        let mut state = self.state();
        let brightens = outlook == Outlook::CLEAR && state.outlook != outlook;
        state.outlook = outlook;
        drop(state);
        if brightens {
            self.moved.notify_waiters();
        }
    }

    /// The partition belongs to somebody else, who reads again what these batches have of it and could not write.
    pub fn give_up(&self, partition: i32, last: u64) {
        self.state().given_up.insert(partition, last);
    }

    pub(super) fn is_given_up(&self, partition: i32, number: u64) -> bool {
        let last = self.state().given_up.get(&partition).copied();
        last.is_some_and(|last| number <= last)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_given_up_before_all_have_looked_after_the_last_move() {
        let awaited = Awaited::default();
        let keys = |count: u8| (0..count).map(|key| vec![key]).collect();
        awaited.wait_for(1, keys(2), 0);
        awaited.wait_for(2, keys(1), 0);
        assert!(awaited.is_settled());
        // the first one has found something, which the second may have waited for
        awaited.wait_for(1, keys(1), 0);
        assert!(!awaited.is_settled());
        awaited.wait_for(1, keys(1), awaited.moves());
        assert!(!awaited.is_settled());
        awaited.wait_for(2, keys(1), awaited.moves());
        assert!(awaited.is_settled());
        awaited.wait_for(2, keys(0), awaited.moves());
        assert!(!awaited.is_settled());
        // the last one that had not looked again ends by an error: it keeps nobody waiting
        awaited.leave(1);
        assert!(awaited.is_settled());
    }

    #[test]
    fn a_partition_that_comes_back_is_given_up_for_the_batches_before_only() {
        let awaited = Awaited::default();
        awaited.give_up(3, 7);
        let of = |partition, number| awaited.is_given_up(partition, number);
        assert!(of(3, 6) && of(3, 7));
        assert!(!of(3, 8) && !of(2, 6));
    }
}
