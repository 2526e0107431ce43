//! The demo's messages, as a real connector wrote them: every one is a row, a delete or a heartbeat.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::columns;
use crate::column::Rows;
use crate::envelope::{Decoder, Fate, Headers, Message};
use crate::job::{Encoding, SilverJob};

#[derive(Deserialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
}

fn jobs() -> BTreeMap<&'static str, SilverJob> {
    let mut flights = columns(
        &["id"],
        &[
            ("id", "Int64"),
            ("flight_date", "Date32"),
            ("time_hour", "DateTime64(6, 'UTC')"),
            ("carrier", "String"),
            ("flight", "Int32"),
            ("tailnum", "Nullable(String)"),
            ("origin", "String"),
            ("dest", "String"),
            ("distance", "Decimal(6, 1)"),
            ("sched_dep_time", "Int32"),
            ("dep_time", "Nullable(Int32)"),
            ("dep_delay", "Nullable(Int32)"),
            ("sched_arr_time", "Int32"),
            ("arr_time", "Nullable(Int32)"),
            ("arr_delay", "Nullable(Int32)"),
            ("air_time", "Nullable(Int32)"),
        ],
    );
    flights.columns[1].encoding = Encoding::Days;
    let planes = columns(
        &["tailnum"],
        &[
            ("tailnum", "String"),
            ("year", "Nullable(Int16)"),
            ("type", "String"),
            ("manufacturer", "LowCardinality(String)"),
            ("model", "String"),
            ("engines", "Int16"),
            ("seats", "Int32"),
            ("engine", "String"),
        ],
    );
    let weather = columns(
        &["origin", "time_hour"],
        &[
            ("origin", "String"),
            ("time_hour", "DateTime64(6, 'UTC')"),
            ("temp", "Nullable(Decimal(5, 2))"),
            ("humid", "Nullable(Decimal(5, 2))"),
            ("wind_speed", "Nullable(Float64)"),
            ("precip", "Nullable(Decimal(4, 2))"),
            ("visib", "Nullable(Decimal(4, 2))"),
        ],
    );
    [
        ("nyc.public.flights", flights),
        ("nyc.public.planes", planes),
        ("nyc.public.weather", weather),
    ]
    .into()
}

#[test]
fn every_captured_message_has_the_fate_that_it_should() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/events.jsonl.zst");
    let text = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut told: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut lanes: BTreeMap<&str, (Decoder, Rows)> = BTreeMap::new();
    let jobs = jobs();
    for (name, job) in &jobs {
        lanes.insert(name, (Decoder::new(job), Rows::new(job)));
    }
    for (offset, line) in text.lines().enumerate() {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        let heartbeat = line.topic.starts_with("__debezium-heartbeat");
        let topic = if heartbeat {
            "nyc.public.flights"
        } else {
            line.topic
        };
        let Some((decoder, rows)) = lanes.get_mut(topic) else {
            continue;
        };
        let message = Message {
            topic,
            partition: line.partition,
            offset: offset as i64,
            key: (!heartbeat).then(|| line.key.get().as_bytes()),
            value: Some(line.value.get().as_bytes()),
            timestamp: None,
            headers: Headers::NONE,
        };
        let counts = told.entry(line.topic).or_default();
        match decoder.decode(&message, rows) {
            Fate::Row => counts[0] += 1,
            Fate::Skip(_) => counts[1] += 1,
            other => panic!("{}: {other:?}", line.value),
        }
    }
    let told: Vec<(&str, [usize; 2])> = told.into_iter().collect();
    assert_eq!(
        told,
        [
            ("__debezium-heartbeat.nyc", [0, 4]),
            ("nyc.public.flights", [25_393, 0]),
            ("nyc.public.planes", [1_994, 0]),
            ("nyc.public.weather", [720, 0]),
        ]
    );
    let (_, flights) = lanes.remove("nyc.public.flights").unwrap();
    let flights = flights.finish();
    let live = (0..flights.rows()).filter(|row| flights.show(*row).contains("\"_deleted\":0"));
    assert_eq!(live.count(), 932 + 7_912 - 383);
}
