//! Seeded schedules of changes, builds, kills and backfills: at the end gold says what PostgreSQL says of itself.
//!
//! | file     | what it holds                                                             |
//! |----------|---------------------------------------------------------------------------|
//! | `plan`   | seed → what happens: the same seed gives the same plan                    |
//! | `orders` | the source: random inserts, updates, moves, deletes, and its own answers  |
//! | `drive`  | one seed on the real parts; how it is judged                              |
//! | `fill`   | silver's backfills, killed and started again                              |
//!
//! PostgreSQL, Debezium, Kafka and ClickHouse are real, and so is every process that is killed. `GOLD_SEEDS=100` plays the
//! seeds 1 to 100, with `GOLD_FROM=60` those from 60 on, `GOLD_SEED=17` that one alone. Two at once on one stack disturb each
//! other.

mod drive;
mod fill;
mod orders;
mod plan;

use std::time::Instant;

use futures_util::StreamExt as _;

use crate::support::Source;

/// One of each way in which changes arrive; in each of them fills are killed.
const SEEDS: [u64; 3] = [109, 116, 126];
/// Most of a seed is waiting for processes.
const AT_ONCE: usize = 3;

// a seed blocks its thread while it waits for a process
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn gold_equals_postgres_after_every_schedule_of_changes_builds_kills_and_backfills() {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seeds = match number("GOLD_SEED") {
        Some(seed) => vec![seed],
        None => match number("GOLD_SEEDS") {
            Some(last) => (number("GOLD_FROM").unwrap_or(1)..=last).collect(),
            None => SEEDS.to_vec(),
        },
    };
    let source = Source::new("gold_random").await;
    orders::publish(&source, &seeds).await;
    let source = &source;
    let driven = futures_util::stream::iter(seeds).map(|seed| async move {
        let began = Instant::now();
        let result = drive::drive(seed, source).await;
        let seconds = began.elapsed().as_secs_f64();
        match &result {
            Ok(what) => say(&format!("seed {seed}: right after {seconds:.1} s: {what}")),
            Err(wrong) => say(&format!("seed {seed}: WRONG after {seconds:.1} s: {wrong}")),
        }
        (seed, result.is_ok())
    });
    let ended: Vec<_> = driven.buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<u64> = ended
        .iter()
        .filter(|(_, right)| !right)
        .map(|(seed, _)| *seed)
        .collect();
    assert_eq!(
        wrong,
        [0; 0],
        "of {} seeds; again: GOLD_SEED=…",
        ended.len()
    );
}

/// One line a seed, while the others go on.
#[allow(
    clippy::print_stderr,
    reason = "a hundred seeds take minutes, and show that they move"
)]
fn say(line: &str) {
    eprintln!("{line}");
}
