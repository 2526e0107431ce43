//! The captured change events, exactly as Debezium wrote them, and their way into a mock cluster.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rdkafka::message::{Header, OwnedHeaders};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::embedded::kafka::{Captured, MockKafka};
use crate::error::{Error, Kind, Result};

/// See demo/README.md for what is in it and where it comes from.
const COMPRESSED: &[u8] = include_bytes!("../../demo/events.jsonl.zst");

/// All messages in the order they were written, 29 MB of text.
pub struct Capture {
    text: String,
    /// partitions of each topic
    topics: BTreeMap<String, i32>,
    messages: usize,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    timestamp: i64,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Capture {
    pub fn open() -> Result<Capture> {
        let text = zstd::decode_all(COMPRESSED)
            .map_err(unreadable)
            .and_then(|bytes| String::from_utf8(bytes).map_err(unreadable))?;
        let mut capture = Capture {
            text,
            topics: BTreeMap::new(),
            messages: 0,
        };
        let mut topics = BTreeMap::new();
        for line in capture.text.lines() {
            let line = read(line)?;
            let partitions: &mut i32 = topics.entry(line.topic.into_owned()).or_default();
            *partitions = (*partitions).max(line.partition + 1);
            capture.messages += 1;
        }
        capture.topics = topics;
        Ok(capture)
    }

    pub fn messages(&self) -> usize {
        self.messages
    }

    pub fn create_topics(&self, kafka: &MockKafka) -> Result<()> {
        let mut topics = self.topics.iter();
        topics.try_for_each(|(topic, partitions)| kafka.create_topic(topic, *partitions))
    }

    /// Every partition that silver is read from, and heartbeats.
    pub fn partitions(&self) -> Vec<(String, i32)> {
        let of_topic = |(topic, count): (&String, &i32)| {
            let topic = topic.clone();
            (0..*count).map(move |partition| (topic.clone(), partition))
        };
        self.topics.iter().flat_map(of_topic).collect()
    }

    /// The messages from `first` up to `end`, in order; returns when the cluster has them all.
    pub fn replay(&self, kafka: &MockKafka, first: usize, end: usize) -> Result<()> {
        for line in self.text.lines().skip(first).take(end - first) {
            let line = read(line)?;
            let mut headers = OwnedHeaders::new_with_capacity(line.headers.len());
            for (key, value) in &line.headers {
                headers = headers.insert(Header {
                    key,
                    value: value.as_str(),
                });
            }
            kafka.send(Captured {
                topic: &line.topic,
                partition: line.partition,
                timestamp: line.timestamp,
                headers,
                key: line.key.map(|raw| raw.get().as_bytes()),
                value: line.value.map(|raw| raw.get().as_bytes()),
            })?;
        }
        kafka.flush()
    }
}

fn read(line: &str) -> Result<Line<'_>> {
    serde_json::from_str(line).map_err(unreadable)
}

fn unreadable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Internal, "the demo's events cannot be read").because(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_key_and_value_byte_for_byte() {
        let line = r#"{"topic":"t","partition":2,"timestamp":5,"headers":{"a":"b"},"key":{"id": 1.0},"value":null}"#;
        let line = read(line).unwrap();
        assert_eq!(line.key.map(RawValue::get), Some(r#"{"id": 1.0}"#));
        assert!(line.value.is_none(), "null is a tombstone");
        assert_eq!(line.partition, 2);
    }

    #[test]
    fn the_capture_is_what_the_expected_answers_count() {
        let capture = Capture::open().unwrap();
        assert_eq!(capture.messages(), 28_217);
        assert_eq!(capture.topics["nyc.public.flights"], 3);
        assert_eq!(capture.partitions().len(), 8);
    }
}
