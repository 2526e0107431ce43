use std::path::Path;

use chrono::NaiveDate;

use super::*;
use crate::archive::{Chunk, File, Place};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn settings(folder: &Path) -> Settings {
    Settings {
        place: Place::Folder(folder.to_owned()),
        topics: None,
        roll_after: std::time::Duration::from_secs(1),
        roll_bytes: 1,
    }
}

/// What every file has for this offset.
fn message(offset: i64) -> Kept {
    Kept {
        partition: 0,
        offset,
        key: None,
        value: Some(offset.to_string().into_bytes()),
        // the third of each ten is late by a day
        timestamp: Some(offset / 10 * DAY - if offset % 10 == 3 { DAY } else { 0 }),
        headers: Vec::new(),
    }
}

/// A file of these offsets, but for those that end in 9: they were markers of transactions.
async fn put(folder: &Path, partition: i32, from: i64, to: i64) {
    let mut file = File::begin().unwrap();
    let mut chunk = Chunk::default();
    for offset in (from..to).filter(|offset| offset % 10 != 9) {
        chunk.push(&message(offset).message());
    }
    file.append(chunk).unwrap();
    let name = Name {
        date: day_of(from / 10 * DAY).unwrap(),
        covers: Covers {
            partition,
            from,
            to,
        },
    };
    let store = Store::open(&settings(folder)).unwrap();
    let path = name.path("orders", 1);
    store.write(&path, file.end().unwrap()).await.unwrap();
}

async fn offsets(archived: &Archived, from: i64, to: i64) -> Vec<i64> {
    let mut reader = archived.read(0, from, to);
    let mut offsets = Vec::new();
    while let Some(messages) = reader.next().await.unwrap() {
        for read in messages {
            assert_eq!(read, message(read.offset));
            offsets.push(read.offset);
        }
    }
    offsets
}

#[tokio::test]
async fn each_message_is_read_once_and_in_order_whatever_files_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (from, to) in [(20, 32), (0, 10), (25, 30), (10, 25), (18, 22)] {
        put(here, 0, from, to).await;
    }
    put(here, 1, 0, 5).await;
    // of others, or of a write that a crash cut short
    let day = here.join("orders/epoch=1/date=1970-01-01");
    std::fs::write(day.join("00000-0-1.parquet.17.tmp"), "half").unwrap();
    let archived = Archived::list(&settings(here), "orders", 1).await.unwrap();
    assert_eq!(archived.partitions(), [0, 1]);
    assert_eq!(archived.watermarks(0), Some((0, 32)));
    let all: Vec<i64> = (0..32).filter(|offset| offset % 10 != 9).collect();
    assert_eq!(offsets(&archived, 0, 32).await, all);
    assert_eq!(offsets(&archived, 7, 12).await, [7, 8, 10, 11]);
    assert_eq!(offsets(&archived, 40, 50).await, [] as [i64; 0]);
    assert_eq!(archived.holes(0, 0, 32), []);
}

#[tokio::test]
async fn a_time_is_the_offset_that_kafka_would_say() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(0, 10), (10, 20), (20, 30)] {
        put(folder.path(), 0, from, to).await;
    }
    let archived = Archived::list(&settings(folder.path()), "orders", 1)
        .await
        .unwrap();
    for (millis, expected) in [
        (i64::from(i32::MIN), Some(0)),
        (0, Some(0)),
        (1, Some(10)),
        (DAY, Some(10)),
        (DAY + 1, Some(20)),
        (2 * DAY, Some(20)),
        (3 * DAY, None),
    ] {
        let found = archived.offset_at(0, millis).await.unwrap();
        assert_eq!(found, expected, "{millis}");
    }
}

#[tokio::test]
async fn a_message_from_ahead_of_the_clock_is_found_in_the_file_of_the_day_before() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(0, 12), (12, 20)] {
        put(folder.path(), 0, from, to).await;
    }
    let archived = Archived::list(&settings(folder.path()), "orders", 1)
        .await
        .unwrap();
    assert_eq!(archived.offset_at(0, DAY).await.unwrap(), Some(10));
}

#[tokio::test]
async fn offsets_that_no_file_covers_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(10, 20), (25, 30)] {
        put(folder.path(), 0, from, to).await;
    }
    let archived = Archived::list(&settings(folder.path()), "orders", 1)
        .await
        .unwrap();
    let told = |from, to| -> Vec<(i64, i64)> {
        let holes = archived.holes(0, from, to).into_iter();
        holes.map(|hole| (hole.from, hole.to)).collect()
    };
    assert_eq!(told(0, 40), [(0, 10), (20, 25), (30, 40)]);
    assert_eq!(told(12, 18), []);
    assert_eq!(told(22, 27), [(22, 25)]);
    assert_eq!(told(50, 60), [(50, 60)]);
    // another epoch has other offsets
    let other = Archived::list(&settings(folder.path()), "orders", 2)
        .await
        .unwrap();
    assert_eq!(other.watermarks(0), None);
}

#[tokio::test]
async fn a_file_that_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), 0, 0, 5).await;
    let date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let covers = Covers {
        partition: 0,
        from: 5,
        to: 9,
    };
    let name = Name { date, covers }.path("orders", 1);
    std::fs::write(folder.path().join(&name), "half of a file").unwrap();
    let archived = Archived::list(&settings(folder.path()), "orders", 1)
        .await
        .unwrap();
    let mut reader = archived.read(0, 0, 9);
    assert_eq!(reader.next().await.unwrap().unwrap().len(), 5);
    let error = reader.next().await.unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
}
