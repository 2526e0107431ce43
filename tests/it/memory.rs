//! What ingest holds, whatever comes: the budget, and the process itself beside it.

use crate::support::kafka::{Topic, change, key, producer, send};
use crate::support::stream::Stream;
use crate::support::{Engine, PATIENCE, wait_for};

const BUDGET: u64 = 32 << 20;
/// Beside the budget: a debug build's code, threads, connections, and what the allocator keeps for later. 36 MiB where it
/// was measured.
const PROCESS: u64 = 56 << 20;

/// The peak of an ingest that takes a whole backlog, until `rows` of it are there and `letters` dead letters.
async fn peak(stream: &mut Stream, rows: u64, letters: u64) -> u64 {
    let budget = format!("{}MiB", BUDGET >> 20);
    stream.project.set("BULLION_MEMORY_BUDGET", &budget);
    let mut ingest = stream.project.start(&["ingest"]);
    let put_away = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    wait_for("the backlog", PATIENCE, || async {
        let done = stream.count().await == rows && stream.engine.number(&put_away).await == letters;
        done.then_some(())
    })
    .await;
    let most = ingest.peak_memory();
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
    most
}

/// Seven times the budget, in more partitions than batches.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_large_messages_stays_within_the_budget() {
    const BACKLOG: i64 = 240;
    let mut stream = Stream::new("memory_large", 32).await;
    let large = "x".repeat(1_000_000);
    for id in 0..BACKLOG {
        stream.topic.change('c', id, &large);
    }
    stream.topic.flush();
    let most = peak(&mut stream, BACKLOG as u64, 0).await;
    assert!(most < BUDGET + PROCESS, "{} MiB", most >> 20);
}

/// 20 MiB: more than is decoded. Each is put away whole, one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_limit_are_dead_letters_one_at_a_time() {
    const LARGE: usize = 20 << 20;
    let topic = Topic::create("memory_beyond", 2).await;
    topic.allow_messages_of(LARGE + 1_000).await;
    let sender = producer(&[
        ("message.max.bytes", "30000000"),
        ("enable.idempotence", "false"),
    ]);
    let beyond = change('c', 0, &"x".repeat(LARGE));
    for partition in 0..2 {
        for id in 0..3 {
            let text = change('c', id, "small");
            send(
                &sender,
                &topic.name,
                partition,
                Some(&key(id)),
                Some(text.as_bytes()),
            );
            send(
                &sender,
                &topic.name,
                partition,
                Some(&key(id)),
                Some(beyond.as_bytes()),
            );
        }
    }
    rdkafka::producer::Producer::flush(&sender, PATIENCE).unwrap();
    let mut stream = Stream::over(topic, &Engine::of_stack(), "memory_beyond").await;
    let most = peak(&mut stream, 3, 6).await;
    // docs/memory.md: the letter, its request, and the next one that is fetched meanwhile
    assert!(
        most < BUDGET + PROCESS + 3 * LARGE as u64,
        "{} MiB",
        most >> 20
    );
    let whole = format!(
        "SELECT uniqExact(reason), min(length(value)) FROM {} FINAL",
        stream.ops("dead_letters")
    );
    assert_eq!(
        stream.engine.rows(&whole).await,
        [format!("1\t{}", beyond.len())]
    );
}
