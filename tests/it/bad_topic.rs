//! One topic that holds every bad message between good ones: each good row arrives, each bad message is a dead letter
//! with its reason and its bytes.

use crate::support::PATIENCE;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::support::kafka::{self, key};
use crate::support::stream::Stream;

const JOB: &str = r#"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
small = "Nullable(Int8)"
price = "Nullable(Decimal(10, 2))"
day = { type = "Nullable(Date32)", from = "days" }
at = { type = "Nullable(DateTime64(6, 'UTC'))", from = "micros" }
tags = "Array(String)"
later = "Nullable(DateTime64(6, 'UTC'))"
raw = { type = "Nullable(String)", from = "base64" }
"#;

/// A row of the job's table with one field replaced.
fn row(field: &str, value: &str) -> String {
    let mut fields = [
        ("id", "7"),
        ("note", "null"),
        ("small", "null"),
        ("price", "null"),
        ("day", "null"),
        ("at", "null"),
        ("tags", "[]"),
        ("later", "null"),
        ("raw", "null"),
    ];
    for known in fields.iter_mut().filter(|known| known.0 == field) {
        known.1 = value;
    }
    let fields = fields.map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.join(","))
}

fn with(field: &str, value: &str) -> Vec<u8> {
    format!(
        r#"{{"before":null,"after":{},"op":"u"}}"#,
        row(field, value)
    )
    .into_bytes()
}

struct Bad {
    reason: &'static str,
    column: &'static str,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn bad(reason: &'static str, column: &'static str, value: impl Into<Vec<u8>>) -> Bad {
    Bad {
        reason,
        column,
        key: Some(key(7).into_bytes()),
        value: Some(value.into()),
    }
}

fn keyed(
    reason: &'static str,
    column: &'static str,
    key: Option<&str>,
    value: Option<&str>,
) -> Bad {
    Bad {
        reason,
        column,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
    }
}

fn every_bad_message() -> Vec<Bad> {
    let good = String::from_utf8(with("id", "7")).unwrap();
    let delete = r#"{"before":null,"after":null,"op":"d"}"#;
    let op = |op: &str| good.replace("\"op\":\"u\"", op);
    let deep = format!(r#"{{"op":"u","before":{}"#, "[".repeat(100_000));
    vec![
        bad("empty_value", "", ""),
        bad("bad_json", "", "{"),
        bad("bad_json", "", &good.as_bytes()[..good.len() - 1]),
        bad("bad_json", "", format!("{good} {{}}")),
        bad("bad_json", "", format!("\u{feff}{good}")),
        bad("wrong_encoding", "", b"\0\0\0\0\x2aavro".to_vec()),
        bad("wrong_encoding", "", "[1]"),
        bad(
            "bad_utf8",
            "",
            [b"{\"op\":\"\xff\"".as_slice(), good.as_bytes()].concat(),
        ),
        bad("bad_utf8", "note", with("note", r#""\ud800""#)),
        bad("duplicate_field", "note", with("note", r#""a","note":"b""#)),
        bad("too_deep", "", deep),
        bad("unknown_op", "", op("\"ts_ms\":1")),
        bad("unknown_op", "", op("\"op\":\"x\"")),
        bad("unknown_op", "", op("\"op\":\"C\"")),
        bad("unknown_op", "", op("\"op\":1")),
        bad(
            "missing_image",
            "",
            r#"{"before":null,"after":null,"op":"c"}"#,
        ),
        keyed("unkeyed_delete", "", None, Some(delete)),
        bad("truncate", "", r#"{"op":"t","source":{}}"#),
        keyed("key_mismatch", "id", Some(r#"{"id":8}"#), Some(&good)),
        keyed("key_mismatch", "x", Some(r#"{"id":7,"x":1}"#), Some(delete)),
        keyed("null_key", "id", Some(r#"{"id":null}"#), None),
        keyed("null_key", "id", Some("{}"), Some(delete)),
        keyed("bad_key", "", Some("7"), Some(delete)),
        keyed("bad_key", "", Some("not json"), Some(&good)),
        bad(
            "toast_placeholder",
            "note",
            with("note", r#""__debezium_unavailable_value""#),
        ),
        bad("bad_decimal", "price", with("price", r#""==wT9Wmw==""#)),
        bad("bad_decimal", "price", with("price", "{}")),
        bad(
            "out_of_range",
            "price",
            with("price", "123456789012345678901234567890.5"),
        ),
        bad(
            "precision_loss",
            "price",
            with("price", r#""0.0000000001""#),
        ),
        bad(
            "out_of_range",
            "price",
            with("price", r#""POSITIVE_INFINITY""#),
        ),
        bad("bad_value", "small", with("small", "1.5")),
        bad("bad_value", "small", with("small", r#""12""#)),
        bad("bad_value", "small", with("small", "true")),
        bad("out_of_range", "small", with("small", "300")),
        bad("out_of_range", "at", with("at", "9223372036825200000")),
        bad("out_of_range", "day", with("day", "-2147472692")),
        bad("null_value", "tags", with("tags", r#"["a",null]"#)),
        bad("bad_value", "note", with("note", "5")),
        bad("unknown_column", "extra", with("tags", r#"[],"extra":1"#)),
        bad("missing_column", "tags", good.replace(",\"tags\":[]", "")),
        bad("unit_unknown", "later", with("later", "1700000000000000")),
        bad("duplicate_field", "", op("\"op\":\"u\",\"op\":\"u\"")),
        keyed(
            "duplicate_field",
            "id",
            Some(r#"{"id":7,"id":7}"#),
            Some(&good),
        ),
        bad(
            "toast_placeholder",
            "tags",
            with("tags", r#"["__debezium_unavailable_value"]"#),
        ),
        // the same, in base64
        bad(
            "toast_placeholder",
            "raw",
            with("raw", r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_message_between_good_ones_is_a_dead_letter_with_its_reason_and_bytes() {
    let stream = Stream::new("bad_topic", 1).await;
    let job = format!("topic = \"{}\"\n{JOB}", stream.topic.name);
    stream.project.write("jobs/silver/bad.toml", &job);
    std::fs::remove_file(stream.project.path("jobs/silver/notes.toml")).unwrap();
    stream.project.succeed(&["migrate"]);

    let producer = kafka::producer(&[]);
    let say = |key: Option<&[u8]>, value: Option<&[u8]>, headers: OwnedHeaders| {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&stream.topic.name)
            .partition(0)
            .headers(headers);
        (record.key, record.payload) = (key, value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    let good = |id: usize| {
        let value = with("id", &id.to_string());
        say(
            Some(key(id as i64).as_bytes()),
            Some(&value),
            OwnedHeaders::new(),
        );
    };
    let bad = every_bad_message();
    good(1000);
    for (at, message) in bad.iter().enumerate() {
        let header = Header {
            key: "origin",
            value: Some(&[0xff, at as u8]),
        };
        let headers = OwnedHeaders::new().insert(header);
        say(message.key.as_deref(), message.value.as_deref(), headers);
        good(1001 + at);
    }
    producer.flush(PATIENCE).unwrap();
    let ended = stream.ends("done");
    assert_eq!(ended.json()["jobs"]["bad"]["rows"], bad.len() + 1);

    let hex = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        None => "\\N".to_owned(),
    };
    let expected: Vec<String> = bad
        .iter()
        .enumerate()
        .map(|(at, message)| {
            let (key, value) = (hex(&message.key), hex(&message.value));
            let offset = 2 * at + 1;
            format!(
                "{offset}\t{}\t{}\t{key}\t{value}\torigin\tFF{at:02X}",
                message.reason, message.column
            )
        })
        .collect();
    let letters = format!(
        "SELECT offset, reason, column, hex(key), hex(value), headers[1].1, hex(headers[1].2) FROM {} FINAL ORDER BY offset",
        stream.ops("dead_letters")
    );
    let letters = stream.engine.rows(&letters).await;
    for (found, expected) in letters.iter().zip(&expected) {
        assert_eq!(
            found.get(..300.min(found.len())),
            expected.get(..300.min(expected.len()))
        );
        assert_eq!(found.len(), expected.len());
    }
    assert_eq!(letters.len(), bad.len());
    let ids = format!(
        "SELECT count(), min(id), max(id) FROM {}",
        stream.silver("bad")
    );
    let whole = format!("{}\t1000\t{}", bad.len() + 1, 1000 + bad.len());
    assert_eq!(stream.engine.rows(&ids).await, [whole]);
    assert_eq!(stream.committed(), 2 * bad.len() as i64 + 1);
}
