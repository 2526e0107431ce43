//! Kafka goes away in mid-run and comes back: ingest outlives it, writes what it had, and goes on by itself.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::support::engine::OwnEngine;
use crate::support::kafka::{change, key, producer, send};
use crate::support::{PATIENCE, Project, stays, wait_for};

const TOPIC: &str = "lost.notes";
const PARTITIONS: i32 = 2;
const GROUP: &str = "lost";
/// Longer than the session that the classic group has here.
const LOST: Duration = Duration::from_secs(9);

/// A Kafka of the test's own that can be lost without anybody else noticing.
struct OwnKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl OwnKafka {
    fn start() -> OwnKafka {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        OwnKafka { cluster }
    }

    /// By a new producer each time: an idempotent one that had seen the mock go did not recover within a minute.
    fn insert(&self, ids: std::ops::Range<i64>) {
        let producer = producer(&[
            ("bootstrap.servers", &self.cluster.bootstrap_servers()),
            ("enable.idempotence", "false"),
        ]);
        for id in ids {
            let partition = i32::try_from(id).unwrap() % PARTITIONS;
            let value = change('c', id, "x");
            send(
                &producer,
                TOPIC,
                partition,
                Some(&key(id)),
                Some(value.as_bytes()),
            );
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Next offsets of the group, both partitions together.
    fn committed(&self) -> i64 {
        let mut asked = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            asked.add_partition(TOPIC, partition);
        }
        let looking: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", GROUP)
            .create()
            .unwrap();
        let found = looking.committed_offsets(asked, PATIENCE).unwrap();
        let offsets = found.elements();
        let next = |partition: &_| offset_of(partition).unwrap_or(0).max(0);
        offsets.iter().map(next).sum()
    }
}

fn offset_of(partition: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> Option<i64> {
    partition.offset().to_raw()
}

async fn outlives_its_kafka(name: &str, properties: &str) {
    let folder = tempfile::tempdir().unwrap();
    let own = OwnEngine::start(folder.path().join("engine")).await;
    let kafka = OwnKafka::start();
    let mut project = Project::new(name, &own.engine).await;
    project.set("BULLION_KAFKA_BROKERS", &kafka.cluster.bootstrap_servers());
    project.set("BULLION_KAFKA_GROUP", GROUP);
    project.set("BULLION_KAFKA_PROPERTIES", properties);
    let job = format!(
        "topic = \"{TOPIC}\"\nkey = [\"id\"]\n\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n"
    );
    project.write("jobs/silver/notes.toml", &job);
    project.succeed(&["migrate"]);
    let each_once = async |rows: i64| {
        let sql = format!("SELECT count(), uniqExact(id) FROM {name}_silver.notes");
        let wanted = format!("{rows}\t{rows}\n");
        wait_for(&format!("{rows} rows"), PATIENCE, || async {
            (own.engine.ask(&sql).await.ok().as_ref() == Some(&wanted)).then_some(())
        })
        .await;
    };
    let commits = async |next: i64| {
        wait_for(&format!("the commit of {next}"), PATIENCE, || async {
            (kafka.committed() == next).then_some(())
        })
        .await;
    };
    let says = async |words: &str| {
        wait_for(words, PATIENCE, || async {
            project.log().contains(words).then_some(())
        })
        .await;
    };
    let mut ingest = project.start(&["ingest"]);
    kafka.insert(0..100);
    each_once(100).await;
    commits(100).await;

    // received, but neither durable nor committed when Kafka goes
    own.signal("STOP");
    kafka.insert(100..200);
    says("rows=200").await;
    kafka.cluster.broker_down(1).unwrap();
    own.signal("CONT");
    each_once(200).await;
    says("kafka is not well").await;
    stays(LOST, || async { assert!(ingest_lives(&project)) }).await;
    assert!(ingest.is_running(), "{}", project.log());

    kafka.cluster.broker_up(1).unwrap();
    assert!(kafka.committed() <= 200);
    kafka.insert(200..300);
    each_once(300).await;
    commits(300).await;
    assert!(ingest_lives(&project), "{}", project.log());

    // lost once more: a signal does not wait for it
    kafka.cluster.broker_down(1).unwrap();
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
}

/// Its only job was not stopped.
fn ingest_lives(project: &Project) -> bool {
    !project.log().contains("job stopped")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_group_outlives_a_kafka_that_is_away_for_longer_than_its_session() {
    outlives_its_kafka("kafka_lost_classic", "session.timeout.ms=6000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_newer_protocol_outlives_its_kafka() {
    outlives_its_kafka("kafka_lost_newer", "group.protocol=consumer").await;
}
