//! Messages that a job has received and cannot decode yet.

use crate::source::{Kept, RawMessage};

/// In the order of their arrival, the one that has to wait first.
#[derive(Default)]
pub struct Held {
    messages: Vec<Kept>,
    bytes: usize,
}

impl Held {
    pub fn with(message: &RawMessage<'_>) -> Held {
        let mut held = Held::default();
        held.keep(message);
        held
    }

    pub fn keep(&mut self, message: &RawMessage<'_>) {
        let kept = Kept::of(message);
        self.bytes += kept.bytes();
        self.messages.push(kept);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The partition belongs to somebody else, who reads these messages again.
    pub fn forget(&mut self, partition: i32) {
        self.messages.retain(|kept| kept.partition != partition);
        self.bytes = self.messages.iter().map(Kept::bytes).sum();
    }

    pub fn release(self) -> Vec<Kept> {
        self.messages
    }
}
