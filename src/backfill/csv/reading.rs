//! A file is cut at ends of records, and a part of it becomes rows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::super::chunk::{Part, hex};
use super::header::Layout;
use super::record::{BadQuotes, Cells, Records};
use super::{Csv, file_name};
use crate::batch::DeadLetter;
use crate::column::{Block, Rows, version};
use crate::envelope::{Decoder, Fate, Headers, Message};
use crate::error::{Error, Kind, Result};
use crate::ingest::Breaker;
use crate::job::SilverJob;
use crate::sink::dead_letters::FILE;
use crate::snapshot::UNKNOWN_PARTITION;

/// Lines and bytes of one question to ClickHouse and of one insert.
const MOST_LINES: usize = 50_000;
const MOST_BYTES: usize = 16 << 20;

/// A file, cut.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) digest: String,
    /// with the count of their records
    pub(super) parts: Vec<(Part, u64)>,
}

/// Some lines, read.
pub(super) struct Lines {
    /// records, refused ones too
    pub(super) count: u64,
    pub(super) block: Block,
    pub(super) refused: Vec<DeadLetter>,
}

/// What was read passes the digest.
struct Hashed {
    file: File,
    digest: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
        self.digest.update(out.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Reads the whole file.
pub(super) fn cut(csv: &Csv, job: &SilverJob, step: u64) -> Result<(Layout, Cut)> {
    let failed = |error| unreadable(&csv.path, error);
    let mut hashed = Hashed {
        file: File::open(&csv.path).map_err(failed)?,
        digest: Sha256::new(),
    };
    let mut records = Records::new(&mut hashed, csv.delimiter, (0, 1));
    let mut header = Cells::default();
    if let Some(record) = records.next().map_err(failed)?
        && let Err(BadQuotes) = header.read(record.bytes, csv.delimiter)
    {
        let message = format!(
            "{}: quotes of line {} do not match",
            csv.path.display(),
            record.line
        );
        return Err(Error::new(Kind::Usage, message));
    }
    let layout = Layout::read(job, &header)?;
    let mut parts = Vec::new();
    loop {
        let (at, line) = records.place();
        let mut count = 0;
        while count < step && records.next().map_err(failed)?.is_some() {
            count += 1;
        }
        let (to, _) = records.place();
        if count == 0 {
            break;
        }
        parts.push((Part::Lines { at, to, line }, count));
    }
    let digest = hex(&hashed.digest.finalize());
    Ok((layout, Cut { digest, parts }))
}

/// One part of a file on its way.
pub(super) struct Reading {
    layout: Arc<Layout>,
    records: Records<File>,
    csv: Csv,
    /// where the part ends
    to: u64,
    decoder: Decoder,
    /// of all parts, one after the other
    breaker: Arc<Mutex<Breaker>>,
    cells: Cells,
    message: Vec<u8>,
}

impl Reading {
    pub(super) fn open(
        csv: &Csv,
        layout: &Arc<Layout>,
        breaker: &Arc<Mutex<Breaker>>,
        part: &Part,
    ) -> Result<Reading> {
        let Part::Lines { at, to, line } = *part else {
            return Err(Error::new(Kind::Internal, "a chunk of another source"));
        };
        let failed = |error| unreadable(&csv.path, error);
        let mut file = File::open(&csv.path).map_err(failed)?;
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        Ok(Reading {
            layout: Arc::clone(layout),
            records: Records::new(file, csv.delimiter, (at, line)),
            csv: csv.clone(),
            to,
            decoder: Decoder::new(&layout.job),
            breaker: Arc::clone(breaker),
            cells: Cells::default(),
            message: Vec::new(),
        })
    }

    /// The next lines of the part, at most so many; none at its end.
    pub(super) fn next(&mut self, most: usize) -> Result<Lines> {
        let mut rows = Rows::new(&self.layout.job);
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut count, mut refused) = (0, Vec::new());
        let mut held = 0;
        while count < most.min(MOST_LINES) as u64 && held + rows.bytes() < MOST_BYTES {
            if self.records.place().0 >= self.to {
                break;
            }
            let read = self.records.next();
            let Some(record) = read.map_err(|error| unreadable(&self.csv.path, error))? else {
                break;
            };
            count += 1;
            // of lines with one key that one stays which has the higher offset here
            let offset = match self.csv.overwrite {
                true => count,
                false => MOST_LINES as u64 - count,
            };
            let layout = &self.layout;
            let image = match self.cells.read(record.bytes, self.csv.delimiter) {
                Err(BadQuotes) => Err(("bad_quotes", String::new())),
                Ok(()) if self.cells.len() != layout.cells() => Err(("cell_count", String::new())),
                Ok(()) => {
                    self.message.clear();
                    self.message
                        .extend_from_slice(br#"{"before":null,"after":"#);
                    let image = layout.image(&self.cells, &mut self.message);
                    self.message.extend_from_slice(br#","op":"r"}"#);
                    image.map_err(|column| ("bad_value", column))
                }
            };
            let fate = image.and_then(|()| {
                let message = Message {
                    topic: &layout.job.topic,
                    partition: UNKNOWN_PARTITION,
                    offset: offset.cast_signed(),
                    key: None,
                    value: Some(&self.message),
                    timestamp: None,
                    headers: Headers::NONE,
                };
                match self.decoder.decode(&message, &mut rows) {
                    Fate::Row => Ok(()),
                    Fate::Reject(reject) => {
                        Err((reject.reason.as_str(), reject.column.unwrap_or_default()))
                    }
                    Fate::Skip(skip) => Err((skip.as_str(), String::new())),
                    Fate::Fail(_) => Err(("fail", String::new())),
                }
            });
            let reason = fate.as_ref().err().map(|(reason, _)| *reason);
            if let Err((reason, column)) = fate {
                held += record.bytes.len();
                refused.push(letter(
                    layout.job.epoch,
                    record.line,
                    record.bytes,
                    reason,
                    column,
                ));
            }
            if let Some(error) = breaker.count(&layout.job, reason) {
                let name = file_name(&self.csv.path);
                let error = error.context(format!("{name}, line {}", record.line));
                return Err(error.advise(format!(
                    "`bullion dlq list --topic {FILE}{name}` shows the reasons; correct the file, or the job, and run the same command again"
                )));
            }
        }
        Ok(Lines {
            count,
            block: rows.finish(),
            refused,
        })
    }
}

/// The same line of the same file is the same letter.
fn letter(epoch: u8, line: u64, bytes: &[u8], reason: &'static str, column: String) -> DeadLetter {
    let line = line.cast_signed();
    DeadLetter {
        partition: UNKNOWN_PARTITION,
        offset: line,
        version: version(epoch, line),
        reason,
        column,
        key: None,
        value: Some(bytes.to_vec()),
        headers: Vec::new(),
        message_time: None,
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::File, format!("cannot read {}", path.display())).because(error)
}
