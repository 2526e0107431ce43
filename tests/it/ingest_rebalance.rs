//! Partitions change hands while rows are under way: by storms of members, by pauses, by two protocols in one group.

use std::time::Duration;

use crate::support::commits::Commits;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

const PARTITIONS: i32 = 6;

async fn stream_of(name: &str, properties: &str) -> (Stream, Commits) {
    let mut stream = Stream::new(name, PARTITIONS).await;
    stream.project.set("BULLION_KAFKA_PROPERTIES", properties);
    let commits = Commits::watch(&stream.group, &stream.topic.name, PARTITIONS);
    (stream, commits)
}

async fn holds(stream: &Stream, rows: i64) {
    let sums = format!(
        "SELECT count(), uniqExact(id), sum(id) FROM {}",
        stream.silver("notes")
    );
    let wanted = [format!("{rows}\t{rows}\t{}", rows * (rows - 1) / 2)];
    wait_for(&format!("{rows} rows"), PATIENCE, || async {
        (stream.engine.rows(&sums).await == wanted).then_some(())
    })
    .await;
}

async fn says(stream: &Stream, words: &str, times: usize) {
    wait_for(words, PATIENCE, || async {
        (stream.project.log().matches(words).count() >= times).then_some(())
    })
    .await;
}

/// A member joins or leaves every two seconds, in turn politely and by kill -9, while one stays.
async fn outlives_a_storm(name: &str, properties: [&str; 2]) {
    let (mut stream, commits) = stream_of(name, properties[0]).await;
    let mut steady = stream.project.start(&["ingest"]);
    stream
        .project
        .set("BULLION_KAFKA_PROPERTIES", properties[1]);
    let (mut sent, mut held) = (0, 0);
    for round in 0..3 {
        let mut guest = stream.project.start(&["ingest"]);
        for half in 0..2 {
            let until = tokio::time::Instant::now() + Duration::from_secs(2);
            while tokio::time::Instant::now() < until {
                stream.topic.insert(sent..sent + 50);
                sent += 50;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if half == 0 && round == 1 {
                guest.kill();
                guest = stream.project.start(&["ingest"]);
            }
        }
        guest.signal("TERM");
        assert_eq!(guest.wait(PATIENCE), 143, "{name}");
        let before = held;
        wait_for(
            &format!("{name}: progress in round {round}"),
            PATIENCE,
            || async {
                let now = stream.count().await;
                (now > before).then_some(now)
            },
        )
        .await;
        held = stream.count().await;
    }
    holds(&stream, sent).await;
    wait_for("the last commit", PATIENCE, || async {
        (stream.committed() == sent).then_some(())
    })
    .await;
    commits.verdict().unwrap();
    assert!(steady.is_running(), "{name}");
    let log = stream.project.log();
    assert!(!log.contains("job stopped"), "{name}\n{log}");
    steady.signal("TERM");
    assert_eq!(steady.wait(PATIENCE), 143, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_members_every_two_seconds_slows_a_group_down_and_no_more() {
    let quick = ",session.timeout.ms=2000,heartbeat.interval.ms=500";
    let of = |assignor: &str| format!("partition.assignment.strategy={assignor}{quick}");
    let (range, round_robin) = (of("range"), of("roundrobin"));
    let cooperative = of("cooperative-sticky");
    let newer = "group.protocol=consumer";
    tokio::join!(
        outlives_a_storm("storm_range", [&range, &range]),
        outlives_a_storm("storm_roundrobin", [&round_robin, &round_robin]),
        outlives_a_storm("storm_cooperative", [&cooperative, &cooperative]),
        outlives_a_storm("storm_newer", [newer, newer]),
        // an upgrade on the way: members of both protocols in one group
        outlives_a_storm("storm_upgrade", [&range, newer]),
        outlives_a_storm("storm_downgrade", [newer, &range]),
    );
}

/// The first process stops at the point, the second takes over and goes on; then the first wakes up.
async fn wakes_up_too_late(name: &str, properties: &str, failpoint: &str) {
    let (stream, commits) = stream_of(name, properties).await;
    stream.topic.insert(0..60);
    let environment = [("BULLION_FAILPOINT", failpoint)];
    let mut late = stream.project.start_with(&["ingest"], &environment);
    says(&stream, "fail point", 1).await;
    let mut heir = stream.project.start(&["ingest"]);
    holds(&stream, 60).await;
    for id in 0..60 {
        stream.topic.change('u', id, "newer");
    }
    stream.topic.flush();
    let newer = async || {
        let rows = stream.rows().await;
        rows.len() == 60 && rows.iter().all(|row| row.ends_with("newer"))
    };
    wait_for("the newer rows", PATIENCE, || async {
        newer().await.then_some(())
    })
    .await;
    // a process that only held its breath goes on by itself
    late.signal("CONT");
    says(&stream, "partitions assigned", 3).await;
    assert!(newer().await, "{name}");
    assert!(late.is_running() && heir.is_running(), "{name}");
    heir.signal("TERM");
    assert_eq!(heir.wait(PATIENCE), 143, "{name}");
    // it has found its group again, and takes over
    stream.topic.insert(60..120);
    wait_for("the rows after it", PATIENCE, || async {
        (stream.count().await == 120 && stream.committed() == 180).then_some(())
    })
    .await;
    commits.verdict().unwrap();
    late.signal("TERM");
    assert_eq!(late.wait(PATIENCE), 143, "{name}");
    let log = stream.project.log();
    assert!(!log.contains("job stopped"), "{name}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_past_its_session_wakes_up_and_changes_nothing() {
    let quick = "session.timeout.ms=2000,heartbeat.interval.ms=500";
    let eager = format!("{quick},partition.assignment.strategy=range");
    tokio::join!(
        wakes_up_too_late("asleep_insert", quick, "before-insert:1:stop"),
        wakes_up_too_late("asleep_commit", quick, "before-commit:1:stop"),
        wakes_up_too_late("asleep_eager", &eager, "before-insert:1:stop"),
        wakes_up_too_late(
            "asleep_newer",
            "group.protocol=consumer",
            "before-insert:1:stop"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_did_not_poll_in_time_commits_nothing_that_is_not_its_own() {
    let quick = "session.timeout.ms=2000,heartbeat.interval.ms=500,max.poll.interval.ms=3000";
    let eager = format!("{quick},partition.assignment.strategy=roundrobin");
    tokio::join!(
        wakes_up_too_late("late_poll", quick, "before-commit:1:hold=8000"),
        wakes_up_too_late("late_poll_eager", &eager, "after-poll:1:hold=8000"),
    );
}
