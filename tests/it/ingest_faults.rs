//! What ingest does when its parts fail: it waits for what comes back and stops what needs a person.

use std::time::{Duration, Instant};

use crate::support::engine::OwnEngine;
use crate::support::kafka::Topic;
use crate::support::stream::Stream;
use crate::support::{Project, wait_for};

const SOON: Duration = Duration::from_secs(60);
/// Longer than both the session and the time between two polls that the test allows.
const LOST: Duration = Duration::from_secs(9);

/// Looks again and again for as long, and insists each time.
async fn stays<F: Future<Output = ()>>(long: Duration, mut insist: impl FnMut() -> F) {
    let until = Instant::now() + long;
    wait_for("the time to pass", long + SOON, || {
        let insisted = insist();
        async move {
            insisted.await;
            (Instant::now() >= until).then_some(())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_clickhouse_is_waited_for_without_leaving_the_group_or_committing() {
    let folder = tempfile::tempdir().unwrap();
    let mut own = OwnEngine::start(folder.path().join("engine")).await;
    let mut stream = Stream::on(&own.engine, "faults_clickhouse", 2).await;
    let impatient = "session.timeout.ms=6000,max.poll.interval.ms=7000";
    stream.project.set("BULLION_KAFKA_PROPERTIES", impatient);
    stream.topic.insert(0..100);
    let mut ingest = stream.project.start(&["ingest"]);
    let holds = async |rows: u64| {
        wait_for(&format!("{rows} rows"), SOON, || async {
            (stream.count().await == rows).then_some(())
        })
        .await;
    };
    holds(100).await;
    wait_for("the commit", SOON, || async {
        (stream.committed() == 100).then_some(())
    })
    .await;
    let only_once =
        |log: String| log.matches("partitions assigned").count() == 1 && !log.contains("were lost");

    // frozen: connections stay open and nothing answers
    own.signal("STOP");
    stream.topic.insert(100..200);
    stays(LOST, || async { assert_eq!(stream.committed(), 100) }).await;
    assert!(ingest.is_running());
    own.signal("CONT");
    holds(200).await;

    // killed: connections are refused
    own.kill();
    stream.topic.insert(200..300);
    stays(LOST, || async { assert_eq!(stream.committed(), 200) }).await;
    assert!(ingest.is_running());
    own.restart().await;
    holds(300).await;
    wait_for("the commit", SOON, || async {
        (stream.committed() == 300).then_some(())
    })
    .await;
    assert!(only_once(stream.project.log()), "{}", stream.project.log());
    ingest.signal("TERM");
    assert_eq!(ingest.wait(Duration::from_secs(5)), 143);
}

/// Waves of rows while ClickHouse is frozen; then ingest is killed and a new one reads what is left.
async fn survivors_of_a_kill(name: &str, properties: &str) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let own = OwnEngine::start(folder.path().join("engine")).await;
    let mut stream = Stream::on(&own.engine, name, 1).await;
    stream.project.set("BULLION_KAFKA_PROPERTIES", properties);
    stream.project.set("BULLION_UNSAFE_KAFKA_PROPERTIES", "1");
    let auto = properties.contains("enable.auto.commit=true");
    stream.topic.insert(0..10);
    let ingest = stream.project.start(&["ingest"]);
    wait_for("the first rows", SOON, || async {
        (stream.count().await == 10).then_some(())
    })
    .await;
    wait_for("their commit", SOON, || async {
        (stream.committed() == 10).then_some(())
    })
    .await;
    own.signal("STOP");
    let mut sent = 10;
    // the first two inserts are under way to the frozen engine; what comes later is in ingest's memory alone
    let waves = Instant::now() + Duration::from_secs(3);
    while Instant::now() < waves {
        stream.topic.insert(sent..sent + 10);
        sent += 10;
        if auto {
            wait_for("the commit of nothing", SOON, || async {
                (stream.committed() == sent).then_some(())
            })
            .await;
        } else {
            stays(Duration::from_millis(100), || async {
                assert_eq!(stream.committed(), 10)
            })
            .await;
        }
    }
    ingest.kill();
    own.signal("CONT");
    stream.project.unset("BULLION_KAFKA_PROPERTIES");
    stream.project.unset("BULLION_UNSAFE_KAFKA_PROPERTIES");
    assert_eq!(stream.catch_up().code(), 0);
    (u64::try_from(sent).unwrap(), stream.count().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_auto_commit_the_same_kill_loses_rows_and_without_it_none() {
    let (sent, found) = survivors_of_a_kill("faults_manual", "").await;
    assert_eq!(found, sent);
    let auto = "enable.auto.commit=true,enable.auto.offset.store=true,auto.commit.interval.ms=50";
    let (sent, found) = survivors_of_a_kill("faults_auto", auto).await;
    assert!(
        found < sent,
        "all of {sent} rows survived, so this test shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_commit_is_refused() {
    let mut stream = Stream::new("faults_refused", 1).await;
    stream
        .project
        .set("BULLION_KAFKA_PROPERTIES", "enable.auto.commit=true");
    let ended = stream.project.run(&["ingest", "--until-caught-up"]);
    assert_eq!(ended.code(), 2, "{}", ended.text());
    assert!(
        ended.stderr().contains(
            "`kafka.properties.enable.auto.commit` cannot be set: offsets are committed only after"
        ),
        "{}",
        ended.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_stops_and_the_others_go_on() {
    let stream = Stream::new("faults_one_job", 1).await;
    let garbage = Topic::create("faults_garbage", 1).await;
    let mut doomed = Topic::create("faults_doomed", 1).await;
    let wrong = Topic::create("faults_wrong_key", 1).await;
    for (job, topic) in [
        ("garbage", &garbage),
        ("doomed", &doomed),
        ("wrong", &wrong),
    ] {
        stream.declare(job, topic, "");
    }
    stream.project.succeed(&["migrate"]);
    let other = stream.silver("wrong_versions");
    for sql in [
        format!("DROP TABLE {other}"),
        format!(
            "CREATE TABLE {other} (id Int64, note String, _version UInt64, _deleted UInt8) ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY note"
        ),
    ] {
        stream.engine.ask(&sql).await.unwrap();
    }
    stream.topic.insert(0..100);
    doomed.insert(0..10);
    for _ in 0..2_000 {
        garbage.send(0, None, Some(b"garbage"));
    }
    garbage.flush();
    let mut ingest = stream.project.start(&["ingest"]);
    wait_for("the good rows", SOON, || async {
        (stream.count().await == 100).then_some(())
    })
    .await;
    wait_for("the doomed rows", SOON, || async {
        (stream.count_of("doomed").await == 10).then_some(())
    })
    .await;
    let says = async |words: &str| {
        wait_for(words, SOON, || async {
            stream.project.log().contains(words).then_some(())
        })
        .await;
    };
    says("of topic faults_garbage").await;
    says("wrong_versions has ORDER BY note").await;
    doomed.delete().await;
    says("job stopped, its topic is paused job=\"doomed\"").await;
    // the rest of the process has not noticed
    stream.topic.insert(100..200);
    wait_for("more good rows", SOON, || async {
        (stream.count().await == 200).then_some(())
    })
    .await;
    assert!(ingest.is_running());
    ingest.signal("TERM");
    assert_eq!(ingest.wait(Duration::from_secs(5)), 143);
    assert_eq!(
        garbage.committed(&stream.group),
        [0],
        "the breaker's messages come again"
    );
    let letters = format!(
        "SELECT count() > 0 FROM {} WHERE job = 'garbage'",
        stream.ops("dead_letters")
    );
    assert_eq!(
        stream.engine.rows(&letters).await,
        ["1"],
        "a person can look at some of them"
    );

    // and a run that ends by itself names each of them
    std::fs::remove_file(stream.project.path("jobs/silver/doomed.toml")).unwrap();
    let ended = stream.catch_up();
    let result = ended.json();
    assert_eq!(ended.code(), 1, "{}", ended.text());
    assert_eq!(result["status"], "failed");
    assert_eq!(result["jobs"]["notes"]["failed"], serde_json::Value::Null);
    assert!(
        result["jobs"]["garbage"]["failed"]
            .as_str()
            .unwrap()
            .contains("were rejected")
    );
    assert!(
        result["jobs"]["wrong"]["failed"]
            .as_str()
            .unwrap()
            .contains("ORDER BY")
    );
}

/// Half of the backlog. Of it 32 MiB are rows; each write holds its block sorted and encoded beside them, librdkafka
/// 16 MiB undecoded and 8 MiB on their way, and the allocator keeps what large vectors left behind. 250 MiB are usual.
const MOST_MEMORY: u64 = 320 << 20;
const BACKLOG: i64 = 640;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_large_messages_stays_within_bounds() {
    let mut stream = Stream::new("faults_memory", 4).await;
    stream.project.set("BULLION_MEMORY_BUDGET", "32MiB");
    let large = "x".repeat(1_000_000);
    for id in 0..BACKLOG {
        stream.topic.change('c', id, &large);
    }
    stream.topic.flush();
    let mut ingest = stream.project.start(&["ingest"]);
    wait_for("all rows", SOON, || async {
        (stream.count().await == BACKLOG as u64).then_some(())
    })
    .await;
    let most = ingest.peak_memory();
    assert!(most < MOST_MEMORY, "{} MiB", most >> 20);
    ingest.signal("TERM");
    assert_eq!(ingest.wait(Duration::from_secs(5)), 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_keeps_the_exit_code_and_json_is_the_last_line() {
    let stream = Stream::new("faults_stdout", 1).await;
    stream.topic.insert(0..10);
    for (arguments, exit) in [
        ("ingest --until-caught-up --output json", 0),
        ("ingest nothing --output json", 2),
        ("ingest --until-caught-up --peek 3 --output json", 2),
        ("--help", 0),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (code, stderr) = with_closed_stdout(&stream.project, &arguments);
        assert_eq!(code, exit, "{arguments:?}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        if arguments.contains(&"json") {
            let both = both_streams(&stream.project, &arguments);
            let last = both.lines().last().unwrap();
            let result: serde_json::Value = serde_json::from_str(last).unwrap();
            assert_eq!(result["status"] == "failed", exit != 0, "{both}");
        }
    }
}

fn with_closed_stdout(project: &Project, arguments: &[&str]) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = project.command(arguments).stdout(writer).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), stderr)
}

/// As Airflow reads them: merged.
fn both_streams(project: &Project, arguments: &[&str]) -> String {
    use std::io::Read as _;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = project.command(arguments);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}
