//! Seeded schedules of everything that can go wrong between Kafka and silver, each against a recorded change log.
//!
//! | file        | what it holds                                                       |
//! |-------------|---------------------------------------------------------------------|
//! | `schedule`  | seed → what happens when: the same seed gives the same schedule      |
//! | `changes`   | seed → the change log, as it is produced and recorded                |
//! | `drive`     | one seed on the real parts; how it is judged                         |
//! | `fold.py`   | what silver must hold, told from the log without the product's code |
//!
//! `make chaos SEEDS=200` runs the seeds 1 to 200, `make chaos SEED=17` that one alone. A seed that fails leaves its
//! folder in `target/chaos/`: the schedule, the log, what silver held, and what the processes said.

mod changes;
mod drive;
mod schedule;

use std::time::Instant;

use futures_util::StreamExt as _;

/// What CI runs.
const SEEDS: u64 = 30;
/// Schedules are made of waiting: so many at once keep two cores busy. There are as many doors to Kafka.
const AT_ONCE: usize = 6;

// a seed blocks its thread while it waits for a process
#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
#[ignore = "a suite of its own, `make chaos`: three minutes of a busy machine"]
async fn silver_equals_the_fold_of_its_log_after_every_schedule() {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seeds = match number("BULLION_CHAOS_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("BULLION_CHAOS_SEEDS").unwrap_or(SEEDS),
    };
    let driven = futures_util::stream::iter(seeds.clone()).map(|seed| async move {
        let began = Instant::now();
        let ended = tokio::spawn(drive::drive(seed)).await;
        let result = ended.unwrap_or_else(|error| Err(format!("panicked: {error}")));
        let seconds = began.elapsed().as_secs_f64();
        match &result {
            Ok(what) => say(&format!("seed {seed}: right after {seconds:.1} s: {what}")),
            Err(wrong) => say(&format!("seed {seed}: WRONG after {seconds:.1} s: {wrong}")),
        }
        (seed, result)
    });
    let ended: Vec<_> = driven.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<u64> = ended
        .iter()
        .filter(|(_, result)| result.is_err())
        .map(|(seed, _)| *seed)
        .collect();
    assert_eq!(
        failed,
        [0; 0],
        "of {} seeds; again: make chaos SEED=…",
        ended.len()
    );
}

/// One line a seed, while the others go on.
#[allow(
    clippy::print_stderr,
    reason = "a suite that takes minutes shows that it moves"
)]
fn say(line: &str) {
    eprintln!("{line}");
}
