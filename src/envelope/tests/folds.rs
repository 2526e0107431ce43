//! Whatever the batches and the redeliveries: the newest row of each key is what remains.

use std::collections::BTreeMap;

use super::{columns, message};
use crate::column::{Block, Rows, version};
use crate::envelope::{Decoder, Fate};
use crate::job::SilverJob;

/// A small repeatable generator (xorshift): tests draw from it, so a failure names its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn job() -> SilverJob {
    columns(
        &["region", "id"],
        &[
            ("id", "Int32"),
            ("name", "Nullable(String)"),
            ("region", "String"),
            ("tags", "Array(Nullable(String))"),
            ("price", "Decimal(40, 3)"),
        ],
    )
}

type Log = Vec<(i64, String, Option<String>)>;
/// key → (version, shown row)
type Folded = BTreeMap<String, (u64, String)>;

/// A log of one partition: key and value per offset, with gaps, some of it garbage.
fn log(dice: &mut Dice) -> Log {
    let mut offset = 0;
    let mut log = Vec::new();
    for _ in 0..400 {
        offset += 1 + dice.roll(3) as i64;
        let (id, region) = (
            dice.roll(12) as i64 - 6,
            ["north", "northern-isles", "södra"][dice.roll(3) as usize],
        );
        let key = format!(r#"{{"region":"{region}","id":{id}}}"#);
        let image = format!(
            r#"{{"id":{id},"name":{},"region":"{region}","tags":["a",null],"price":"{}.5"}}"#,
            if dice.roll(4) == 0 {
                "null".to_owned()
            } else {
                format!("\"n\\t{}\"", dice.roll(99))
            },
            dice.roll(u64::MAX),
        );
        let value = match dice.roll(10) {
            0 => None,
            1 | 2 => Some(format!(r#"{{"before":{image},"after":null,"op":"d"}}"#)),
            3 => Some(format!(
                r#"{{"before":null,"after":{{"id":{id},"name":5}},"op":"u"}}"#
            )),
            _ => Some(format!(r#"{{"before":null,"after":{image},"op":"u"}}"#)),
        };
        log.push((offset, key, value));
    }
    log
}

fn decode<'a>(
    job: &SilverJob,
    decoder: &mut Decoder,
    log: impl Iterator<Item = &'a (i64, String, Option<String>)>,
) -> Rows {
    let mut rows = Rows::new(job);
    for (offset, key, value) in log {
        let value = value.as_deref().map(str::as_bytes);
        let fate = decoder.decode(&message(*offset, Some(key.as_bytes()), value), &mut rows);
        assert!(matches!(fate, Fate::Row | Fate::Reject(_)), "{fate:?}");
    }
    rows
}

/// What ReplacingMergeTree makes of blocks.
fn replace(folded: &mut Folded, block: &Block) {
    let mut before: Option<String> = None;
    for row in 0..block.rows() {
        let shown = block.show(row);
        let cells: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let key = format!("{} {}", cells["region"], cells["id"]);
        assert_ne!(before.as_ref(), Some(&key), "a block has one row per key");
        before = Some(key.clone());
        let version = cells["_version"].as_u64().unwrap();
        let held = folded.entry(key).or_insert((0, String::new()));
        if version >= held.0 {
            assert!(
                version > held.0 || shown == held.1,
                "equal versions are equal rows"
            );
            *held = (version, shown);
        }
    }
}

#[test]
fn any_batches_and_redeliveries_fold_to_the_same_rows() {
    let job = job();
    for seed in 1..10 {
        let mut dice = Dice(seed * 7919);
        let log = log(&mut dice);
        // the reference: one message at a time, in order
        let mut expected = Folded::new();
        for entry in &log {
            replace(
                &mut expected,
                &decode(&job, &mut Decoder::new(&job), std::iter::once(entry)).finish(),
            );
        }
        // batches of any size, each with a redelivered stretch, written in any order
        let mut decoder = Decoder::new(&job);
        let mut blocks = Vec::new();
        let mut at = 0;
        while at < log.len() {
            let end = (at + 1 + dice.roll(60) as usize).min(log.len());
            let again = at.saturating_sub(dice.roll(40) as usize);
            let rows = decode(
                &job,
                &mut decoder,
                log[again..end].iter().chain(&log[again..at]),
            );
            let (a, b) = rows.finish().split();
            blocks.extend([a, b]);
            at = end;
        }
        let mut folded = Folded::new();
        while !blocks.is_empty() {
            let block = blocks.swap_remove(dice.roll(blocks.len() as u64) as usize);
            replace(&mut folded, &block);
        }
        assert_eq!(folded, expected, "seed {seed}");
        assert!(expected.len() > 20);
    }
}

#[test]
fn a_block_is_sorted_by_key_as_clickhouse_sorts() {
    let job = job();
    let mut dice = Dice(42);
    let block = decode(&job, &mut Decoder::new(&job), log(&mut dice).iter()).finish();
    let keys: Vec<(String, i64)> = (0..block.rows())
        .map(|row| {
            let cells: serde_json::Value = serde_json::from_str(&block.show(row)).unwrap();
            (
                cells["region"].as_str().unwrap().to_owned(),
                cells["id"].as_i64().unwrap(),
            )
        })
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

#[test]
fn a_version_is_the_epoch_then_the_offset() {
    assert_eq!(version(1, 7), 1 << 56 | 7 << 8);
    assert!(version(2, 0) > version(1, (1 << 48) - 1));
}

#[test]
fn memory_is_counted_while_a_batch_grows() {
    let job = job();
    let (mut decoder, mut rows) = (Decoder::new(&job), Rows::new(&job));
    let mut taken = 0;
    for offset in 0..2000 {
        let name = "n".repeat(200);
        let value = format!(
            r#"{{"after":{{"id":{offset},"name":"{name}","region":"x","tags":[],"price":1}},"op":"c"}}"#
        );
        decoder.decode(&message(offset, None, Some(value.as_bytes())), &mut rows);
        taken += value.len();
        assert!(rows.bytes() >= 200 * rows.len(), "{offset}");
        assert!(
            rows.bytes() <= 3 * taken + 4096,
            "{offset}: {} for {taken}",
            rows.bytes()
        );
    }
}

#[test]
fn a_block_is_laid_out_as_native_has_it() {
    let job = columns(&["id"], &[("id", "Int16"), ("name", "Nullable(String)")]);
    let (mut decoder, mut rows) = (Decoder::new(&job), Rows::new(&job));
    for (offset, id, name) in [(1, 2, "\"b\""), (2, 1, "null")] {
        let value =
            format!(r#"{{"after":{{"id":{id},"name":{name}}},"source":{{"lsn":9}},"op":"c"}}"#);
        decoder.decode(&message(offset, None, Some(value.as_bytes())), &mut rows);
    }
    let mut native = Vec::new();
    rows.finish().encode_native(&mut native);
    let mut expected: Vec<u8> = vec![9, 2]; // columns, rows
    let mut column = |name: &str, kind: &str, cells: &[&[u8]]| {
        for text in [name, kind] {
            expected.push(text.len() as u8);
            expected.extend(text.as_bytes());
        }
        expected.extend(cells.concat());
    };
    column("id", "Int16", &[&[1, 0, 2, 0]]);
    column("name", "Nullable(String)", &[&[1, 0], b"\0\x01b"]);
    let versions = [version(1, 2).to_le_bytes(), version(1, 1).to_le_bytes()].concat();
    column("_version", "UInt64", &[&versions]);
    column("_deleted", "UInt8", &[&[0, 0]]);
    // a dictionary of one: version 1, flags, one key, two rows of key 0
    let words = [1_u64, 0x600, 1].map(u64::to_le_bytes).concat();
    let topic = [
        &words[..],
        &[18],
        b"shop.public.orders",
        &2_u64.to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    column("_topic", "LowCardinality(String)", &[&topic]);
    column(
        "_partition",
        "Int32",
        &[&3_i32.to_le_bytes(), &3_i32.to_le_bytes()],
    );
    let lsn = [9_i64.to_le_bytes(), 9_i64.to_le_bytes()].concat();
    column("_lsn", "Nullable(Int64)", &[&[0, 0], &lsn]);
    column("_tx_id", "Nullable(Int64)", &[&[1, 1], &[0; 16]]);
    column(
        "_source_time",
        "Nullable(DateTime64(3, 'UTC'))",
        &[&[1, 1], &[0; 16]],
    );
    assert_eq!(native, expected);
}
