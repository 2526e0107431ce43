//! Partition → next offset that is durable, and the order in which batches make it so.
//!
//! A batch is handed over with the offsets it covers. Batches may become durable in any order; offsets are given out
//! for commit only when every earlier batch is durable too:
//!
//! ```text
//! handed over   ├── #1 ──┼── #2 ──┼── #3 ──┤
//! durable           yes      no       yes        → commit the end of #1
//! ```

use std::collections::{BTreeMap, VecDeque};

/// Partition number → how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint(BTreeMap<i32, Position>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// first offset that is not covered
    pub next_offset: i64,
    /// latest time of the source below it, in milliseconds since 1970
    pub source_time: Option<i64>,
}

impl Checkpoint {
    pub fn advance(&mut self, partition: i32, next_offset: i64, source_time: Option<i64>) {
        let position = self.0.entry(partition).or_insert(Position {
            next_offset,
            source_time,
        });
        position.next_offset = position.next_offset.max(next_offset);
        // `None` is less than any time
        position.source_time = position.source_time.max(source_time);
    }

    pub fn merge(&mut self, later: &Checkpoint) {
        for (partition, position) in &later.0 {
            self.advance(*partition, position.next_offset, position.source_time);
        }
    }

    pub fn forget(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    pub fn get(&self, partition: i32) -> Option<Position> {
        self.0.get(&partition).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, Position)> {
        self.0
            .iter()
            .map(|(partition, position)| (*partition, *position))
    }
}

/// Batches on their way, oldest first.
#[derive(Debug, Default)]
pub struct InFlight {
    batches: VecDeque<Handed>,
    next_id: u64,
}

#[derive(Debug)]
struct Handed {
    id: u64,
    checkpoint: Checkpoint,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writing,
    /// what it can write is written, the rest waits for other partitions
    Parked,
    Durable,
    /// stays where it is: nothing behind it is ever committed
    Failed,
}

impl InFlight {
    pub fn hand_over(&mut self, checkpoint: Checkpoint, bytes: usize) -> u64 {
        self.next_id += 1;
        self.batches.push_back(Handed {
            id: self.next_id,
            checkpoint,
            bytes,
            state: State::Writing,
        });
        self.next_id
    }

    pub fn durable(&mut self, id: u64) {
        self.end(id, State::Durable);
    }

    /// Nothing behind it is committed, but later batches may go before it.
    pub fn parked(&mut self, id: u64, bytes: usize) {
        self.end(id, State::Parked);
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.bytes = bytes;
        }
    }

    pub fn failed(&mut self, id: u64) {
        self.end(id, State::Failed);
    }

    fn end(&mut self, id: u64, state: State) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.state = state;
            batch.bytes = 0;
        }
    }

    /// Takes out the batches before which nothing is missing and gives how far they reach.
    pub fn take_durable(&mut self) -> Checkpoint {
        let mut reached = Checkpoint::default();
        while let Some(batch) = self
            .batches
            .pop_front_if(|batch| batch.state == State::Durable)
        {
            reached.merge(&batch.checkpoint);
        }
        reached
    }

    /// A partition that was given up: its batches may still land, but nothing is committed for it.
    pub fn forget(&mut self, partition: i32) {
        for batch in &mut self.batches {
            batch.checkpoint.forget(partition);
        }
    }

    /// Of the batch that was handed over last.
    pub fn last_id(&self) -> u64 {
        self.next_id
    }

    /// What rows that wait take.
    pub fn parked_bytes(&self) -> usize {
        self.parked_batches().map(|batch| batch.bytes).sum()
    }

    pub fn has_parked(&self) -> bool {
        self.parked_batches().next().is_some()
    }

    fn parked_batches(&self) -> impl Iterator<Item = &Handed> {
        let batches = self.batches.iter();
        batches.filter(|batch| batch.state == State::Parked)
    }

    /// What the batches on their way cover, together.
    pub fn covered(&self) -> Checkpoint {
        let mut covered = Checkpoint::default();
        for batch in &self.batches {
            covered.merge(&batch.checkpoint);
        }
        covered
    }

    /// Nothing is on its way any more; what landed may still wait to be taken out.
    pub fn is_settled(&self) -> bool {
        self.writing() == 0
    }

    /// Writes under way.
    pub fn writing(&self) -> usize {
        let writing = |batch: &&Handed| batch.state == State::Writing;
        self.batches.iter().filter(writing).count()
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Memory of what is not durable yet.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(positions: &[(i32, i64)]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for (partition, next) in positions {
            checkpoint.advance(*partition, *next, None);
        }
        checkpoint
    }

    #[test]
    fn nothing_is_committed_past_a_batch_that_is_not_durable() {
        let mut in_flight = InFlight::default();
        let first = in_flight.hand_over(at(&[(0, 10)]), 1);
        let second = in_flight.hand_over(at(&[(0, 20), (1, 5)]), 1);
        in_flight.durable(second);
        assert!(in_flight.take_durable().is_empty());
        in_flight.durable(first);
        assert_eq!(in_flight.take_durable(), at(&[(0, 20), (1, 5)]));
        assert!(in_flight.is_empty());
    }

    #[test]
    fn nothing_is_committed_past_a_batch_that_failed() {
        let mut in_flight = InFlight::default();
        let first = in_flight.hand_over(at(&[(0, 10)]), 1);
        let second = in_flight.hand_over(at(&[(0, 20)]), 1);
        in_flight.failed(first);
        in_flight.durable(second);
        assert!(in_flight.is_settled());
        assert!(in_flight.take_durable().is_empty());
    }

    #[test]
    fn nothing_is_committed_for_a_partition_that_was_given_up() {
        let mut in_flight = InFlight::default();
        let id = in_flight.hand_over(at(&[(0, 10), (1, 7)]), 100);
        in_flight.forget(1);
        assert_eq!(in_flight.bytes(), 100);
        in_flight.durable(id);
        assert_eq!(in_flight.take_durable(), at(&[(0, 10)]));
    }

    #[test]
    fn positions_only_move_forwards() {
        let mut checkpoint = at(&[(0, 10)]);
        checkpoint.advance(0, 4, Some(1_000));
        checkpoint.advance(0, 11, None);
        let position = checkpoint.get(0).unwrap();
        assert_eq!(
            (position.next_offset, position.source_time),
            (11, Some(1_000))
        );
    }
}
