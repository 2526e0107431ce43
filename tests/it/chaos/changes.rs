//! A change log as Debezium would write it, garbage in between; each message is recorded as it is sent.

use std::io::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdkafka::producer::{BaseProducer, Producer as _};
use serde_json::json;

use crate::support::kafka::{Topic, key, producer, send};
use crate::support::{Dice, PATIENCE};

const KEYS: u64 = 150;

pub struct Changes<'a> {
    dice: Dice,
    topic: &'a Topic,
    producer: BaseProducer,
    log: std::fs::File,
    /// messages sent, by partition: its end offset
    pub sent: Vec<i64>,
    number: u64,
}

impl<'a> Changes<'a> {
    pub fn new(seed: u64, topic: &'a Topic, partitions: i32, log: std::fs::File) -> Changes<'a> {
        Changes {
            dice: Dice::new(seed ^ 0xc4a0),
            topic,
            producer: producer(&[]),
            log,
            sent: vec![0; usize::try_from(partitions).unwrap()],
            number: 0,
        }
    }

    /// So many changes; they are on the broker when this returns.
    pub fn send_some(&mut self, most: u64) {
        for _ in 0..=self.dice.below(most) {
            self.send_one();
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    fn send_one(&mut self) {
        let id = i64::try_from(self.dice.below(KEYS)).unwrap();
        self.number += 1;
        let row = json!({
            "id": id,
            "note": (self.dice.below(5) > 0).then(|| format!("ümlaut \"{}\"\n", self.number)),
            "amount": format!("{}.{:02}", self.dice.below(100_000), self.dice.below(100)),
        });
        let envelope = |op: &str, before, after| {
            let source = json!({"ts_ms": 1_700_000_000_000_u64 + self.number, "lsn": self.number});
            json!({"before": before, "after": after, "source": source, "op": op, "ts_ms": 1})
                .to_string()
        };
        let nothing = serde_json::Value::Null;
        let value = match self.dice.below(100) {
            0..45 => Some(envelope("u", nothing, row)),
            45..70 => Some(envelope("c", nothing, row)),
            70..75 => Some(envelope("r", nothing, row)),
            75..85 => {
                self.send(id, Some(envelope("d", row, nothing)));
                None
            }
            85..93 => Some(envelope("d", nothing.clone(), nothing)),
            93..96 => None,
            96..98 => Some("{\"op\": garbage".to_owned()),
            _ => Some(envelope("x", nothing, row)),
        };
        self.send(id, value);
    }

    /// A row's changes are all in one partition, as its key says.
    fn send(&mut self, id: i64, value: Option<String>) {
        let partition = usize::try_from(id).unwrap() % self.sent.len();
        let (key, value) = (key(id), value.as_deref().map(str::as_bytes));
        let recorded = json!({
            "partition": partition,
            "offset": self.sent[partition],
            "key": BASE64_STANDARD.encode(&key),
            "value": value.map(|value| BASE64_STANDARD.encode(value)),
        });
        writeln!(self.log, "{recorded}").unwrap();
        self.sent[partition] += 1;
        let partition = i32::try_from(partition).unwrap();
        send(
            &self.producer,
            &self.topic.name,
            partition,
            Some(&key),
            value,
        );
    }
}
