//! What `memory_budget` is spent on.
//!
//! | part | of the budget |
//! |---|---|
//! | fetched, waiting in librdkafka's queue | an eighth, and one fetch of each broker above it |
//! | taken out of the queue, being decoded | a sixteenth |
//! | gathered rows, and writes under way; with an archive, its files | three quarters |
//!
//! The rest is slack. Beside it stands the process itself: code, threads, buffers of connections. A message larger than
//! a part makes it as large as the message is.

use std::ops::RangeInclusive;

/// A fetch is compressed bytes, all of it unpacked at once: Debezium's JSON becomes six times as much. With 8 MiB the
/// process held 32 MiB more and was no faster (bench/README.md). librdkafka takes no less than its `message.max.bytes`.
const FETCH: RangeInclusive<u64> = 1 << 20..=2 << 20;

/// A batch, and two writes under way which are each there twice: as a sorted block and as a request.
const BATCHES: usize = 5;

/// Kilobytes that wait undecoded, all partitions together.
pub fn queued_kilobytes(budget: u64) -> u64 {
    (budget / 8 / 1_000).max(1)
}

/// Bytes of one fetch from one broker.
pub fn fetch(budget: u64) -> u64 {
    (budget / 48).clamp(*FETCH.start(), *FETCH.end())
}

/// Bytes of one fetch from one partition: several share one.
pub fn partition_fetch(budget: u64) -> u64 {
    fetch(budget) / 4
}

/// Bytes of messages that are decoded in one go.
pub fn received(budget: u64) -> usize {
    usize::try_from(budget / 16).unwrap_or(usize::MAX)
}

/// Bytes of rows that are not durable yet, all jobs together; above it partitions are paused.
pub fn rows(budget: u64) -> usize {
    usize::try_from(budget / 4 * 3).unwrap_or(usize::MAX)
}

/// Bytes of messages on their way into the archive, of those for rows: less than the half at which paused partitions go on.
pub fn archive(budget: u64) -> usize {
    rows(budget) / 6
}

/// Bytes of one batch.
pub fn batch(budget: u64) -> usize {
    rows(budget) / BATCHES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fit_into_the_whole() {
        for budget in [16 << 20, 32 << 20, 96 << 20, 1 << 30] {
            let bytes = queued_kilobytes(budget) * 1_000;
            let parts = [
                bytes,
                fetch(budget),
                received(budget) as u64,
                rows(budget) as u64,
            ];
            assert!(parts.iter().sum::<u64>() <= budget, "{budget}: {parts:?}");
            assert!(batch(budget) * BATCHES <= rows(budget));
        }
    }
}
