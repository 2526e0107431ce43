//! Microseconds of one core per event, from message bytes to an encoded block: `cargo bench --bench decode`.
//!
//! The events are made up: 0.8 KB as Debezium's PostgreSQL connector writes them without schemas, one update in four. The
//! answer is checked against the values they were made from before any figure is printed.

use std::io::Write;
use std::time::{Duration, Instant};

use bullion::column::{Rows, Type};
use bullion::envelope::{Decoder, Fate, Headers, Message};
use bullion::job::{Column, Encoding, Format, NullPolicy, Policies, SilverJob, ToastPolicy};

/// So few that most rounds run without being interrupted on a busy machine; a batch is larger.
const EVENTS: usize = 2_000;
const ROUNDS: usize = 1_000;

const COLUMNS: [(&str, &str, Encoding); 12] = [
    ("id", "Int64", Encoding::Plain),
    ("customer_id", "Int32", Encoding::Plain),
    ("status", "LowCardinality(String)", Encoding::Plain),
    ("amount", "Decimal(12, 2)", Encoding::Plain),
    ("currency", "String", Encoding::Plain),
    ("note", "Nullable(String)", Encoding::Plain),
    ("email", "String", Encoding::Plain),
    ("paid", "Bool", Encoding::Plain),
    ("weight", "Nullable(Float64)", Encoding::Plain),
    ("ordered_on", "Date32", Encoding::Days),
    ("created_at", "DateTime64(6, 'UTC')", Encoding::Plain),
    ("updated_at", "DateTime64(6, 'UTC')", Encoding::Micros),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = job()?;
    let events: Vec<(String, String)> = (0..EVENTS).map(event).collect();
    let bytes: usize = events.iter().map(|(_, value)| value.len()).sum();
    check(&job, &events)?;
    let mut best = [Duration::MAX; 3];
    let mut decoder = Decoder::new(&job);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let rows = decode(&job, &mut decoder, &events)?;
        let decoded = Instant::now();
        let block = rows.finish();
        let gathered = Instant::now();
        let mut out = Vec::new();
        block.encode_native(&mut out);
        let encoded = Instant::now();
        let steps = [decoded - start, gathered - decoded, encoded - gathered];
        for (best, step) in best.iter_mut().zip(steps) {
            *best = step.min(*best);
        }
    }
    let micros = best.map(|step| step.as_secs_f64() * 1e6 / EVENTS as f64);
    let [decode, gather, encode] = micros;
    writeln!(
        std::io::stdout(),
        "{EVENTS} events of {} bytes, best of {ROUNDS}: decode {decode:.3} µs, sort and gather {gather:.3} µs, encode {encode:.3} µs per event",
        bytes / EVENTS
    )?;
    Ok(())
}

fn job() -> Result<SilverJob, String> {
    let column = |(name, kind, encoding): &(&str, &str, Encoding)| {
        Ok::<_, String>(Column {
            source: (*name).to_owned(),
            name: (*name).to_owned(),
            kind: Type::parse(kind)?,
            encoding: *encoding,
            null: NullPolicy::Reject,
            toast: ToastPolicy::Reject,
            cast: false,
            mask: None,
            added: None,
        })
    };
    Ok(SilverJob {
        name: "orders".to_owned(),
        topic: "shop.public.orders".to_owned(),
        tables: Vec::new(),
        format: Format::DEBEZIUM_JSON,
        flattened: None,
        key: vec!["id".to_owned()],
        time_column: None,
        immutable: Vec::new(),
        partition_by: None,
        before_image: false,
        columns: COLUMNS.iter().map(column).collect::<Result<_, _>>()?,
        extras: Vec::new(),
        exclude: Vec::new(),
        policies: Policies::default(),
        epoch: 1,
    })
}

/// Spread like a hash, so that keys arrive in no order.
fn id(index: usize) -> usize {
    index * 919 % EVENTS
}

fn event(index: usize) -> (String, String) {
    let id = id(index);
    let op = if index % 4 == 3 { "u" } else { "c" };
    let note = match index % 3 {
        0 => "null".to_owned(),
        _ => format!("\"leave it with the neighbour at number {id}, please \\\"ring\\\" twice\""),
    };
    let value = format!(
        r#"{{"before":null,"after":{{"id":{id},"customer_id":{},"status":"shipped","amount":"{}.25","currency":"EUR","note":{note},"email":"customer{id}@example.org","paid":true,"weight":{}.5,"ordered_on":19876,"created_at":"2024-06-01T12:34:56.789012Z","updated_at":1717245296{:06}}},"source":{{"version":"3.1.0.Final","connector":"postgresql","name":"shop","ts_ms":1717245296789,"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023{index:06}\"]","ts_us":1717245296789012,"ts_ns":1717245296789012000,"schema":"public","table":"orders","txId":{},"lsn":24023{index:06},"xmin":null}},"transaction":null,"op":"{op}","ts_ms":1717245297001,"ts_us":1717245297001234,"ts_ns":1717245297001234567}}"#,
        id % 5000,
        id % 1000,
        id % 50,
        id,
        index / 10,
    );
    (format!(r#"{{"id":{id}}}"#), value)
}

fn decode(
    job: &SilverJob,
    decoder: &mut Decoder,
    events: &[(String, String)],
) -> Result<Rows, String> {
    let mut rows = Rows::new(job);
    for (offset, (key, value)) in events.iter().enumerate() {
        let message = Message {
            topic: &job.topic,
            partition: 0,
            offset: offset as i64,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            timestamp: None,
            headers: Headers::NONE,
        };
        match decoder.decode(&message, &mut rows) {
            Fate::Row => {}
            other => return Err(format!("offset {offset}: {other:?}")),
        }
    }
    Ok(rows)
}

/// Every row must show the values that its event was made from, in the order of the key.
fn check(job: &SilverJob, events: &[(String, String)]) -> Result<(), Box<dyn std::error::Error>> {
    let block = decode(job, &mut Decoder::new(job), events)?.finish();
    if block.rows() != EVENTS {
        return Err(format!("{} rows of {EVENTS}", block.rows()).into());
    }
    for index in (0..EVENTS).step_by(7) {
        let id = id(index);
        let row: serde_json::Value = serde_json::from_str(&block.show(id))?;
        let expected = [
            ("id", serde_json::json!(id)),
            ("amount", serde_json::json!(format!("{}.25", id % 1000))),
            (
                "email",
                serde_json::json!(format!("customer{id}@example.org")),
            ),
            ("weight", serde_json::json!((id % 50) as f64 + 0.5)),
            ("ordered_on", serde_json::json!("2024-06-02")),
            (
                "created_at",
                serde_json::json!("2024-06-01T12:34:56.789012Z"),
            ),
            (
                "updated_at",
                serde_json::json!(format!("2024-06-01T12:34:56.{id:06}Z")),
            ),
            (
                "_version",
                serde_json::json!(1_u64 << 56 | (index as u64) << 8),
            ),
            ("_lsn", serde_json::json!(24_023_000_000_u64 + index as u64)),
        ];
        for (name, value) in expected {
            if row[name] != value {
                return Err(format!("event {index}: {name} is {}, not {value}", row[name]).into());
            }
        }
    }
    Ok(())
}
