//! The embedded engine as a process: starts that fail, stops, kills, and what runs in the background.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::engine::{Engine, PROGRAM, client, engine, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_on_the_same_folder_is_refused() {
    let engine = engine().await;
    let second = Command::new(PROGRAM)
        .args(["engine", "--listen", "127.0.0.1:0", "--data"])
        .arg(engine.folder.path())
        .env("BULLION_ENGINE_PASSWORD", "x")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    let pid = engine.child.pid().unwrap();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(
        said.contains(&format!("in use by another engine (pid {pid})")),
        "{said}"
    );
}

#[test]
fn a_bad_start_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, password, exit, message) in [
        (
            vec!["--library", "/nowhere.so"],
            "x",
            2,
            "npm pack @chdb/lib-linux-x64-gnu@26.7.3-stable.1",
        ),
        (
            vec!["--library", "/etc/passwd"],
            "x",
            2,
            "cannot use /etc/passwd as libchdb",
        ),
        (vec![], "", 2, "the engine needs a password"),
        (vec!["--listen", "0.0.0.0:0"], "x", 2, "--public"),
    ] {
        let ended = Command::new(PROGRAM)
            .args(["engine", "--data"])
            .arg(folder.path())
            .args(&arguments)
            .env("BULLION_ENGINE_PASSWORD", password)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_and_a_stop() {
    let Engine { mut child, folder } = engine().await;
    client(&child)
        .query("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        .execute()
        .await
        .unwrap();
    for round in 0..4_u64 {
        let insert = format!(
            "INSERT INTO t SELECT number FROM numbers({}, 10)",
            round * 10
        );
        client(&child).query(&insert).execute().await.unwrap();
        if round % 2 == 0 {
            child.kill();
        } else {
            child.stop().await.unwrap();
        }
        child = start(folder.path()).await;
        let count = "SELECT count() FROM t";
        let found = client(&child)
            .query(count)
            .fetch_one::<u64>()
            .await
            .unwrap();
        assert_eq!(found, (round + 1) * 10, "after round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_running_queries_and_exits_0() {
    let Engine {
        child,
        folder: _folder,
    } = engine().await;
    let pid = child.pid().unwrap();
    let busy = client(&child);
    let query = tokio::spawn(async move {
        busy.query("SELECT sum(sipHash64(number)) FROM numbers(100000000000)")
            .fetch_one::<u64>()
            .await
    });
    let watcher = client(&child);
    let others = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum%'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while watcher.query(others).fetch_one::<u64>().await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "the query never ran");
    }
    let asked = Instant::now();
    child.stop().await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert!(query.await.unwrap().is_err());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_table_engine_reads_a_topic() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 2, 1).unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for n in 0..1000 {
        let (key, payload) = (n.to_string(), format!("{{\"n\":{n}}}"));
        let record = BaseRecord::to("events").key(&key).payload(&payload);
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    let engine = engine().await;
    let brokers = cluster.bootstrap_servers();
    for sql in [
        "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n",
        &format!(
            "CREATE TABLE q (n UInt64) ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', \
             kafka_topic_list = 'events', kafka_group_name = 'g', kafka_format = 'JSONEachRow'"
        ),
        "CREATE MATERIALIZED VIEW v TO t AS SELECT n FROM q",
    ] {
        engine.client().query(sql).execute().await.unwrap();
    }
    engine.until("SELECT count() FROM t", 1000).await;
    assert_eq!(engine.count("SELECT sum(n) FROM t").await, 499_500);
    let Engine {
        child,
        folder: _folder,
    } = engine;
    child.stop().await.unwrap();
}
