//! `toast = "keep"`: rows that lean on messages of other partitions, filled from the topic and from its archive.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::kafka::{key, producer};
use crate::support::stream::Stream;

const UNSENT: &str = "__debezium_unavailable_value";

/// A job that keeps `note`, over two partitions.
struct Leaning {
    stream: Stream,
    sending: BaseProducer,
    /// of every image
    pad: String,
}

impl Leaning {
    async fn new(name: &str, pad: usize) -> Leaning {
        let stream = Stream::new(name, 2).await;
        let job = format!(
            "topic = \"{}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\nnote = {{ type = \"String\", toast = \"keep\" }}\npad = \"String\"\n",
            stream.topic.name
        );
        stream.project.write("jobs/silver/kept.toml", &job);
        std::fs::remove_file(stream.project.path("jobs/silver/notes.toml")).unwrap();
        stream.project.succeed(&["migrate"]);
        Leaning {
            stream,
            sending: producer(&[]),
            pad: "x".repeat(pad),
        }
    }

    /// The change of a place in the source's log; the header names the key's other half.
    fn send(&self, partition: i32, op: char, id: i64, note: &str, lsn: i64, half: Option<i64>) {
        let pad = match op {
            'd' => "",
            _ => &self.pad,
        };
        let image = json!({"id": id, "note": note, "pad": pad});
        let (before, after) = match op {
            'd' => (image, Value::Null),
            _ => (Value::Null, image),
        };
        let source = json!({"lsn": lsn});
        let value = json!({"before": before, "after": after, "source": source, "op": op});
        let (key, value, other) = (key(id), value.to_string(), half.map(key));
        let name = match op {
            'd' => "__debezium.newkey",
            _ => "__debezium.oldkey",
        };
        let headers = other.iter().fold(OwnedHeaders::new(), |all, other| {
            all.insert(Header {
                key: name,
                value: Some(other),
            })
        });
        let record = BaseRecord::to(&self.stream.topic.name).partition(partition);
        let record = record.key(&key).payload(&value).headers(headers);
        assert!(self.sending.send(record).is_ok());
    }

    fn backfill(&self, arguments: &str) -> Value {
        self.sending.flush(PATIENCE).unwrap();
        let arguments = format!("backfill kept {arguments} --output json");
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.stream.project.succeed(&arguments).json()
    }

    async fn rows(&self, condition: &str) -> Vec<String> {
        let kept = self.stream.silver("kept");
        let sql = format!("SELECT id, note FROM {kept} WHERE {condition} ORDER BY id");
        self.stream.engine.rows(&sql).await
    }

    fn has_no_letters(&self) {
        let listed = self.stream.project.run(&["dlq", "list"]).text();
        assert!(listed.contains("no dead letters"), "{listed}");
    }
}

/// The create of a changed key is in the first chunk, the delete that it takes its value from in the last one.
#[tokio::test(flavor = "multi_thread")]
async fn what_leans_on_a_later_chunk_is_there_at_the_end() {
    let leaning = Leaning::new("leaning_chunks", 0).await;
    leaning.send(0, 'c', 1, "kept", 10, None);
    (100..110).for_each(|id| leaning.send(0, 'c', id, "filler", 20, None));
    leaning.send(0, 'd', 1, "", 30, Some(2));
    leaning.send(1, 'c', 2, UNSENT, 30, Some(1));
    leaning.send(1, 'u', 2, UNSENT, 40, None);
    (200..210).for_each(|id| leaning.send(1, 'c', id, "filler", 50, None));

    let told = leaning.backfill("--source kafka --chunk 4");
    assert_eq!((&told["chunks"], &told["read"]), (&6.into(), &24.into()));
    assert_eq!(told["rejected"], json!({}), "{told}");
    assert_eq!(leaning.rows("id < 100").await, ["2\tkept"]);
    leaning.has_no_letters();
}

/// The archive is read one partition after the other: all creates wait for deletes that come behind them.
#[cfg(feature = "archive")]
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_are_bounded_by_the_memory_and_there_at_the_end() {
    let mut leaning = Leaning::new("leaning_archive", 100_000).await;
    leaning.stream.project.set("BULLION_ARCHIVE_URL", "kept");
    for id in 0..60 {
        leaning.send(1, 'c', id, &format!("kept {id}"), 10 + id, None);
        leaning.send(1, 'd', id, "", 100 + id, Some(1_000 + id));
        leaning.send(0, 'c', 1_000 + id, UNSENT, 100 + id, Some(id));
    }
    leaning.sending.flush(PATIENCE).unwrap();
    leaning.stream.ends("done");
    let rows: Vec<String> = (0..60)
        .map(|id| format!("{}\tkept {id}", 1_000 + id))
        .collect();
    assert_eq!(leaning.rows("1").await, rows);
    let lose = format!("TRUNCATE TABLE {}", leaning.stream.silver("kept_versions"));
    leaning.stream.engine.ask(&lose).await.unwrap();

    leaning.stream.project.set("BULLION_MEMORY_BUDGET", "16MiB");
    let arguments = ["backfill", "kept", "--source", "archive"];
    let told = leaning.stream.project.succeed(&arguments).text();
    assert!(told.contains("fill the memory"), "{told}");
    assert_eq!(leaning.rows("1").await, rows);
    leaning.has_no_letters();
}
