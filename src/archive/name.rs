//! Names of archive files. All that is to be known of a file stands in its name.

use std::fmt;

use chrono::{DateTime, NaiveDate};

/// Digits of a partition and of an offset, so that names sort as they are read.
const PARTITION_DIGITS: usize = 5;
const OFFSET_DIGITS: usize = 20;
const EXTENSION: &str = "parquet";

/// What a file holds: every message of the partition from `from`, and none from `to` on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covers {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// of the first message, and never before that of the file before it
    pub date: NaiveDate,
    pub covers: Covers,
}

/// The folder of a topic's files in one epoch.
pub fn folder(topic: &str, epoch: u8) -> String {
    format!("{topic}/epoch={epoch}")
}

pub fn date_folder(topic: &str, epoch: u8, date: NaiveDate) -> String {
    format!("{}/date={date}", folder(topic, epoch))
}

/// The date of a folder's own name, as in `date=2026-11-21`.
pub fn parse_date(folder: &str) -> Option<NaiveDate> {
    folder.strip_prefix("date=")?.parse().ok()
}

/// Of a message's time, which is milliseconds since 1970.
pub fn day_of(millis: i64) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp_millis(millis)?.date_naive())
}

impl fmt::Display for Covers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Covers {
            partition,
            from,
            to,
        } = self;
        write!(
            f,
            "{partition:0PARTITION_DIGITS$}-{from:0OFFSET_DIGITS$}-{to:0OFFSET_DIGITS$}.{EXTENSION}"
        )
    }
}

impl Covers {
    /// `None` for files of others.
    pub fn parse(name: &str) -> Option<Covers> {
        let mut parts = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split('-');
        let covers = Covers {
            partition: number(parts.next()?)?.try_into().ok()?,
            from: number(parts.next()?)?,
            to: number(parts.next()?)?,
        };
        (parts.next().is_none() && covers.from <= covers.to).then_some(covers)
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

impl Name {
    pub fn path(&self, topic: &str, epoch: u8) -> String {
        format!("{}/{}", date_folder(topic, epoch, self.date), self.covers)
    }
}

/// How far the files reach without a gap, from this offset on. They are of one partition, in any order.
pub fn covered<'a>(files: impl IntoIterator<Item = &'a Covers>, from: i64) -> i64 {
    let mut files: Vec<&Covers> = files.into_iter().collect();
    files.sort();
    files.into_iter().fold(from, |reached, file| {
        if file.from <= reached {
            reached.max(file.to)
        } else {
            reached
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(from: i64, to: i64) -> Covers {
        Covers {
            partition: 3,
            from,
            to,
        }
    }

    #[test]
    fn a_name_says_what_the_file_holds_and_sorts_as_it_is_read() {
        let name = Name {
            date: NaiveDate::from_ymd_opt(2026, 11, 21).unwrap(),
            covers: file(1_000, 2_000),
        };
        assert_eq!(
            name.path("orders", 1),
            "orders/epoch=1/date=2026-11-21/00003-00000000000000001000-00000000000000002000.parquet"
        );
        assert_eq!(Covers::parse(&name.covers.to_string()), Some(name.covers));
        assert!(file(9, 10).to_string() < file(10, 11).to_string());
        assert!(file(0, i64::MAX).to_string() > file(0, 1).to_string());
    }

    #[test]
    fn files_of_others_are_no_archive() {
        for name in [
            "",
            "readme.md",
            "00003-0-1.parquet.tmp",
            "00003-5-4.parquet",
            "3--1-2.parquet",
            "x-0-1.parquet",
            "00003-+1-2.parquet",
            "00003-0-1-2.parquet",
        ] {
            assert_eq!(Covers::parse(name), None, "{name}");
        }
    }

    #[test]
    fn coverage_ends_at_the_first_hole_whatever_overlaps() {
        let files = [file(10, 20), file(0, 10), file(15, 18), file(25, 30)];
        assert_eq!(covered(&files, 0), 20);
        assert_eq!(covered(&files, 12), 20);
        assert_eq!(covered(&files, 20), 20);
        assert_eq!(covered(&files, 27), 30);
        assert_eq!(covered(&files, 40), 40);
        assert_eq!(covered(&[], 5), 5);
    }
}
