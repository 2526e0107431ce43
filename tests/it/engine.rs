//! The embedded engine, as the official crate, plain HTTP and a person at a shell use it.

use std::process::Command;

use clickhouse::{Compression, Row};
use serde::Deserialize;

use crate::support::embedded_engine::engine;
use crate::support::program::PROGRAM;

/// One Native block: a UInt64 column `n` and a String column `s`.
fn native(rows: &[(u64, &str)]) -> Vec<u8> {
    let mut block = vec![2, u8::try_from(rows.len()).unwrap()];
    block.extend_from_slice(b"\x01n\x06UInt64");
    for (n, _) in rows {
        block.extend_from_slice(&n.to_le_bytes());
    }
    block.extend_from_slice(b"\x01s\x06String");
    for (_, s) in rows {
        block.push(u8::try_from(s.len()).unwrap());
        block.extend_from_slice(s.as_bytes());
    }
    block
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_crate_writes_and_reads() {
    #[derive(Row, Deserialize, Debug, PartialEq)]
    struct Line {
        n: u64,
        s: String,
    }
    let engine = engine().await;
    let client = engine.client();
    client
        .query("CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
        .execute()
        .await
        .unwrap();
    for (compression, first) in [(Compression::Lz4, 1), (Compression::None, 3)] {
        let mut insert = client
            .clone()
            .with_compression(compression)
            .insert_formatted_with("INSERT INTO t (n, s) FORMAT Native");
        let block = native(&[(first, "one\0\u{1f600}"), (first + 1, "")]);
        insert.send(block.into()).await.unwrap();
        insert.end().await.unwrap();
    }
    let found: Vec<Line> = client
        .query("SELECT ?fields FROM t WHERE n > {least:UInt64} AND s != {text:String} ORDER BY n")
        .param("least", 0)
        .param("text", "it's \\ not\tthere")
        .fetch_all()
        .await
        .unwrap();
    let expected = [
        (1, "one\0\u{1f600}"),
        (2, ""),
        (3, "one\0\u{1f600}"),
        (4, ""),
    ]
    .map(|(n, s)| Line { n, s: s.to_owned() });
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_crate_sees_errors_early_and_late() {
    let engine = engine().await;
    let client = engine.client();
    let early = client.query("SELECT * FROM nowhere").execute().await;
    let text = early.unwrap_err().to_string();
    assert!(text.contains("Code: 60. DB::Exception"), "{text}");
    let mut rows = client
        .query("SELECT toUInt8(throwIf(number = 5000000, 'late')) FROM numbers(6000000)")
        .fetch::<u8>()
        .unwrap();
    let mut read = 0;
    let late = loop {
        match rows.next().await {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("the error got lost after {read} rows"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(read > 1_000_000, "streamed before it failed: {read}");
    assert!(
        late.contains("Code: 395") && late.contains("late"),
        "{late}"
    );
}

/// The client's own tests are in Python; this keeps them from being forgotten.
#[test]
fn clickhouse_connect_finds_nothing_amiss() {
    let run = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/run"))
        .arg(PROGRAM)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}
