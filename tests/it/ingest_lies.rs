//! ClickHouse does the work and loses the answer, refuses what it did, or speaks too late: nothing shows in silver.

use std::time::Duration;

use crate::support::lying_front::{About, Lie, LyingFront};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, stays, wait_for};

const ROWS: &str = "notes_versions";
const INSERT: About = About::Insert(ROWS);
/// Of `clickhouse.insert_timeout` in these tests.
const DEADLINE: Duration = Duration::from_secs(1);

/// A stream whose ingest reaches ClickHouse by a front only; the test itself asks the engine.
async fn lied_to(name: &str) -> (Stream, LyingFront) {
    let mut stream = Stream::new(name, 1).await;
    let front = LyingFront::before(&stream.engine);
    let project = &mut stream.project;
    project.set("BULLION_CLICKHOUSE_URL", &front.engine.url);
    project.set("BULLION_CLICKHOUSE_INSERT_TIMEOUT", "1s");
    (stream, front)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_sent_again_and_commits_nothing_before() {
    let (stream, front) = lied_to("lies_unknown").await;
    let mut ingest = stream.project.start(&["ingest"]);
    let late = 3 * DEADLINE;
    let refuse = |code, done| Lie::Refuse { code, done };
    let with_200 = |code, done| Lie::RefuseWith200 { code, done };
    let mut sent = 0;
    for lie in [
        Lie::LoseAnswer,
        with_200(209, false),
        with_200(209, true),
        Lie::HalfBody,
        Lie::HalfAnswer,
        Lie::Hang,
        Lie::AnswerLate(late),
        refuse(319, true),
        refuse(319, false),
        refuse(242, false),
        refuse(999, false),
        refuse(999, true),
        refuse(243, false),
    ] {
        let before = front.lies().len();
        front.lie(INSERT, usize::MAX, lie);
        stream.topic.insert(sent..sent + 20);
        wait_for("it to be lied to twice", PATIENCE, || async {
            (front.lies().len() >= before + 2).then_some(())
        })
        .await;
        assert_eq!(stream.committed(), sent, "{lie:?}");
        front.repent();
        sent += 20;
        stream.holds(sent).await;
    }
    let each = "SELECT count(), uniqExact(id), sum(id) FROM";
    let found = stream
        .engine
        .rows(&format!("{each} {}", stream.silver("notes")))
        .await;
    assert_eq!(
        found,
        [format!("{sent}\t{sent}\t{}", sent * (sent - 1) / 2)]
    );
    let letters = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&letters).await, ["0"]);
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143, "{}", stream.project.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_is_carried_out_after_newer_ones_changes_nothing() {
    let (stream, front) = lied_to("lies_late_work").await;
    let late = Duration::from_secs(4);
    front.lie(INSERT, 1, Lie::WorkLate(late));
    stream.topic.insert(0..20);
    let ingest = stream.project.start(&["ingest"]);
    stream.holds(20).await;
    for id in 0..20 {
        let op = if id % 2 == 0 { 'u' } else { 'd' };
        stream.topic.change(op, id, "newer");
    }
    stream.topic.flush();
    let newer = async || {
        let rows = stream.rows().await;
        rows.len() == 10 && rows.iter().all(|row| row.ends_with("newer"))
    };
    wait_for("the newer rows", PATIENCE, || async {
        newer().await.then_some(())
    })
    .await;
    assert_eq!(front.carried_out_late(), 0, "the old ones come later");
    wait_for("the late work", PATIENCE, || async {
        (front.carried_out_late() == 1).then_some(())
    })
    .await;
    assert!(newer().await);
    ingest.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_too_large_for_memory_goes_in_halves_down_to_single_rows() {
    let (stream, front) = lied_to("lies_memory").await;
    let refuse = |code| Lie::Refuse { code, done: false };
    // four rows, two, one; and the same one again
    front.lie(INSERT, 4, refuse(241));
    stream.topic.insert(0..4);
    let ended = stream.ends("done");
    let halved: Vec<bool> = [4, 2]
        .map(|rows| format!("halving it job=\"notes\" rows={rows}"))
        .iter()
        .map(|words| ended.text().contains(words))
        .collect();
    assert_eq!(halved, [true, true], "{}", ended.text());
    assert!(ended.text().contains("nothing is committed, trying again"));
    assert_eq!((stream.count().await, stream.committed()), (4, 4));
    assert_eq!(front.lies().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_parts_slow_ingest_down_into_fewer_and_larger_inserts() {
    let (stream, front) = lied_to("lies_parts").await;
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    stream.holds(10).await;
    let code = 252;
    front.lie(INSERT, usize::MAX, Lie::Refuse { code, done: false });
    let mut sent = 10;
    let began = std::time::Instant::now();
    while front.lies().len() < 3 {
        stream.topic.insert(sent..sent + 10);
        sent += 10;
        stays(Duration::from_millis(200), || async {}).await;
    }
    // two batches are under way, and each waits two seconds before its next try
    assert!(
        began.elapsed() > Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(stream.committed(), 10);
    let before = front.true_inserts();
    front.repent();
    stream.holds(sent).await;
    let inserts = front.true_inserts() - before;
    assert!(
        inserts <= 4,
        "{inserts} inserts for {} waves of rows",
        sent / 10
    );
    let letters = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&letters).await, ["0"]);
    assert!(ingest.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_ends_the_run_at_once_without_a_dead_letter() {
    let (stream, front) = lied_to("lies_denied").await;
    stream.topic.insert(0..10);
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.flush();
    let code = 516;
    let refuse = Lie::Refuse { code, done: false };
    front.lie(About::Insert("dead_letters"), usize::MAX, refuse);
    front.lie(INSERT, usize::MAX, refuse);
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 2, "{}", ended.text());
    assert!(ended.text().contains("check the user and the password"));
    assert!(!ended.text().contains(&stream.engine.password));
    assert_eq!(front.lies().len(), 1, "it was asked once");
    assert_eq!((stream.count().await, stream.committed()), (0, 0));
    let letters = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&letters).await, ["0"]);
    front.repent();
    stream.ends("done");
    assert_eq!((stream.count().await, stream.committed()), (10, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_unknown_outcome_are_sent_again_and_are_there_once() {
    let (stream, front) = lied_to("lies_letters").await;
    for n in 0..3 {
        stream.topic.send(0, None, Some(b"garbage"));
        stream.topic.change('c', n, "x");
    }
    stream.topic.flush();
    let letters = || About::Insert("dead_letters");
    let (code, done) = (209, true);
    front.lie(letters(), 1, Lie::LoseAnswer);
    front.lie(letters(), 1, Lie::RefuseWith200 { code, done });
    front.lie(letters(), 1, Lie::Hang);
    stream.ends("done");
    assert_eq!(front.lies().len(), 3);
    let sql = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&sql).await, ["3"]);
    assert_eq!((stream.count().await, stream.committed()), (3, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_partitions_start_is_asked_until_clickhouse_tells_it() {
    let (stream, front) = lied_to("lies_start").await;
    stream.topic.insert(0..10);
    let about = || About::Query("checkpoints FINAL");
    let (code, done) = (999, false);
    front.lie(about(), 1, Lie::LoseAnswer);
    front.lie(about(), 1, Lie::Hang);
    front.lie(about(), 1, Lie::Refuse { code, done });
    front.lie(about(), 1, Lie::HalfAnswer);
    // nor is a partition read before it is known for ever that it was started
    let known = || About::Insert("checkpoints");
    front.lie(known(), 1, Lie::Refuse { code, done });
    front.lie(known(), 1, Lie::RefuseWith200 { code, done });
    let ended = stream.ends("done");
    assert_eq!(front.lies().len(), 6, "{}", ended.text());
    assert!(
        ended
            .text()
            .contains("partitions wait until it can be told where they start")
    );
    assert_eq!((stream.count().await, stream.committed()), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_too_large_for_memory_go_in_halves() {
    let (stream, front) = lied_to("lies_letters_memory").await;
    let code = 241;
    front.lie(
        About::Insert("dead_letters"),
        1,
        Lie::Refuse { code, done: false },
    );
    (0..4).for_each(|_| stream.topic.send(0, None, Some(b"garbage")));
    stream.topic.flush();
    let ended = stream.ends("done");
    let halving = "dead letters are too large, halving them job=\"notes\" letters=4";
    assert!(ended.text().contains(halving), "{}", ended.text());
    let sql = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&sql).await, ["4"]);
    assert_eq!(stream.committed(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_hangs_is_given_up_and_asked_again() {
    let (stream, front) = lied_to("lies_look_up").await;
    stream.declare("notes", &stream.topic, "[policy]\ntoast = \"keep\"");
    stream.topic.change('c', 1, "a");
    stream.topic.flush();
    stream.ends("done");
    stream.topic.change('u', 1, "__debezium_unavailable_value");
    stream.topic.flush();
    // what silver holds of the key
    front.lie(About::Query("_tx_id"), 1, Lie::Hang);
    let ended = stream.ends("done");
    assert_eq!(front.lies(), [Lie::Hang]);
    let asked_again = "did not answer in time";
    assert!(ended.text().contains(asked_again), "{}", ended.text());
    assert_eq!(stream.rows().await, ["1\ta"]);
    assert_eq!(stream.committed(), 2);
}
