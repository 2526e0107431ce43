//! When the loop last did what it does now and then.

use std::time::Instant;

/// When things were last done, and how the loop keeps up.
pub struct Pace {
    pub checkpoint: Instant,
    pub status: Instant,
    /// when offsets were last sent or refused
    pub commit: Instant,
    /// when a commit was last said to be late
    pub late_commit: Instant,
    pub topics: Instant,
    /// when a topic was last looked at, and which job's it was
    pub glance: Instant,
    pub glanced: usize,
    /// not before this is the group answered again, after an answer that Kafka or ClickHouse held up
    pub answer: Instant,
    /// the last write of `ops.checkpoints`, while it is under way
    pub checkpointing: Option<tokio::task::JoinHandle<()>>,
    /// Kafka refused a commit, so everything is to be sent again
    pub commit_again: bool,
    /// the last receive call filled its buffer: there is more than we can take at once
    pub behind: bool,
    /// the group has given us our partitions, be they none
    pub joined: bool,
    /// jobs whose partitions are paused now
    pub paused: Vec<bool>,
}

impl Pace {
    pub fn new(lanes: usize) -> Pace {
        let now = Instant::now();
        Pace {
            checkpoint: now,
            status: now,
            commit: now,
            late_commit: now,
            topics: now,
            glance: now,
            glanced: 0,
            answer: now,
            checkpointing: None,
            commit_again: false,
            behind: false,
            joined: false,
            paused: vec![false; lanes],
        }
    }
}
