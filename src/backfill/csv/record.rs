//! Records of a CSV file (RFC 4180), and their cells: commas or another byte between cells, quotes around those that hold one,
//! a quote within them doubled.
//!
//! A quote opens a cell only at its beginning, so that a stray one costs a record and not the rest of the file; one that is
//! opened and never closed costs its line.

use std::io::{self, Read};

use crate::envelope::LARGEST_MESSAGE;

/// Bytes that are read from the file at a time.
const READ: usize = 1 << 18;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The records of a file from some place on.
pub(super) struct Records<R> {
    file: R,
    delimiter: u8,
    buffer: Vec<u8>,
    /// place in the buffer of what was not given yet
    next: usize,
    /// the same in the file
    at: u64,
    /// number of the line there, the first of a file is 1
    line: u64,
    ended: bool,
}

/// One record, without the end of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// where it begins in the file
    pub(super) at: u64,
    pub(super) line: u64,
    pub(super) bytes: &'a [u8],
}

/// How far one look at the buffer came.
enum Scan {
    Ends(usize),
    /// nothing up to here ends the record
    More {
        seen: usize,
        quoted: bool,
    },
}

impl<R: Read> Records<R> {
    /// The reader stands at byte `at` of the file, where line `line` begins.
    pub(super) fn new(file: R, delimiter: u8, (at, line): (u64, u64)) -> Records<R> {
        Records {
            file,
            delimiter,
            buffer: Vec::new(),
            next: 0,
            at,
            line,
            ended: false,
        }
    }

    /// Where the next record begins, and on which line.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.at, self.line)
    }

    /// Empty lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let length = self.length()?;
            if length == 0 {
                return Ok(None);
            }
            let (from, (at, line)) = (self.next, self.place());
            let whole = self.buffer.get(from..from + length).unwrap_or_default();
            self.line += memchr::memchr_iter(b'\n', whole).count() as u64;
            let bytes = whole.strip_suffix(b"\n").unwrap_or(whole);
            let kept = bytes.strip_suffix(b"\r").unwrap_or(bytes).len();
            self.next += length;
            self.at += length as u64;
            if kept > 0 {
                let bytes = self.buffer.get(from..from + kept).unwrap_or_default();
                return Ok(Some(Record { at, line, bytes }));
            }
        }
    }

    /// Bytes of the next record with the end of its line; none at the end of the file.
    fn length(&mut self) -> io::Result<usize> {
        let (mut seen, mut quoted) = (0, false);
        loop {
            let rest = self.buffer.get(self.next..).unwrap_or_default();
            match scan(rest, (seen, quoted), self.delimiter, self.ended) {
                Scan::Ends(length) => return Ok(length),
                Scan::More { quoted: false, .. } if self.ended => return Ok(rest.len()),
                // the quote is never closed
                Scan::More { .. } if self.ended || rest.len() > LARGEST_MESSAGE => break,
                Scan::More {
                    seen: now,
                    quoted: open,
                } => (seen, quoted) = (now, open),
            }
            self.fill()?;
        }
        let rest = self.buffer.get(self.next..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(end) => Ok(end + 1),
            None if self.ended => Ok(rest.len()),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than {LARGEST_MESSAGE} bytes", self.line),
            )),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.next);
        self.next = 0;
        loop {
            let held = self.buffer.len();
            self.buffer.resize(held + READ, 0);
            let room = self.buffer.get_mut(held..).unwrap_or_default();
            let read = self.file.read(room)?;
            self.buffer.truncate(held + read);
            self.ended = read == 0;
            if self.ended || self.buffer.len() >= BYTE_ORDER_MARK.len() {
                break;
            }
        }
        if self.at == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.next = BYTE_ORDER_MARK.len();
            self.at = self.next as u64;
        }
        Ok(())
    }
}

/// Looks for the end of a record from `at` on, which is within quotes or not. A quote at the very end of what is there may be
/// the first of a doubled one.
fn scan(rest: &[u8], (mut at, mut quoted): (usize, bool), delimiter: u8, ended: bool) -> Scan {
    let after = |at: usize| rest.get(at..).unwrap_or_default();
    loop {
        let found = match quoted {
            true => memchr::memchr(b'"', after(at)),
            false => memchr::memchr2(b'"', b'\n', after(at)),
        };
        let Some(found) = found.map(|found| at + found) else {
            return Scan::More {
                seen: rest.len(),
                quoted,
            };
        };
        match (quoted, rest.get(found), rest.get(found + 1)) {
            (false, Some(b'\n'), _) => return Scan::Ends(found + 1),
            (false, ..) => {
                let before = found.checked_sub(1).and_then(|before| rest.get(before));
                quoted = before.is_none_or(|before| *before == delimiter);
                at = found + 1;
            }
            (true, _, Some(b'"')) => at = found + 2,
            (true, _, Some(_)) => {
                quoted = false;
                at = found + 1;
            }
            (true, _, None) if ended => return Scan::Ends(rest.len()),
            (true, _, None) => {
                return Scan::More {
                    seen: found,
                    quoted,
                };
            }
        }
    }
}

/// The cells of one record, without their quotes; its buffers are used again for the next.
#[derive(Default)]
pub(super) struct Cells {
    bytes: Vec<u8>,
    cells: Vec<Option<(usize, usize)>>,
}

/// A quote that is not closed, or something behind a closed one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadQuotes;

impl Cells {
    pub(super) fn read(&mut self, record: &[u8], delimiter: u8) -> Result<(), BadQuotes> {
        self.bytes.clear();
        self.cells.clear();
        let mut rest = record;
        loop {
            let start = self.bytes.len();
            let quoted = rest.first() == Some(&b'"');
            rest = match quoted {
                true => self.quoted(rest)?,
                false => {
                    let end = memchr::memchr(delimiter, rest).unwrap_or(rest.len());
                    let (cell, rest) = rest.split_at(end);
                    self.bytes.extend_from_slice(cell);
                    rest
                }
            };
            let is_null = !quoted && self.bytes.len() == start;
            self.cells
                .push((!is_null).then_some((start, self.bytes.len())));
            match rest.split_first() {
                None => return Ok(()),
                Some((byte, after)) if *byte == delimiter => rest = after,
                Some(_) => return Err(BadQuotes),
            }
        }
    }

    /// Takes a cell that begins with a quote; what is behind its closing one.
    fn quoted<'r>(&mut self, cell: &'r [u8]) -> Result<&'r [u8], BadQuotes> {
        let mut rest = cell.get(1..).unwrap_or_default();
        loop {
            let end = memchr::memchr(b'"', rest).ok_or(BadQuotes)?;
            let (plain, quote) = rest.split_at(end);
            self.bytes.extend_from_slice(plain);
            match quote {
                [_, b'"', after @ ..] => {
                    self.bytes.push(b'"');
                    rest = after;
                }
                [_, after @ ..] => return Ok(after),
                [] => return Err(BadQuotes),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Nothing for an empty cell without quotes.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.cells.iter().map(|cell| {
            let (start, end) = (*cell)?;
            self.bytes.get(start..end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len()).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn records(text: &str, drop: usize) -> Vec<(u64, String)> {
        let mut records = Records::new(Drops(text.as_bytes(), drop), b',', (0, 1));
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let from = usize::try_from(record.at).unwrap();
            assert_eq!(
                &text.as_bytes()[from..from + record.bytes.len()],
                record.bytes
            );
            all.push((
                record.line,
                String::from_utf8(record.bytes.to_vec()).unwrap(),
            ));
        }
        assert_eq!(records.place().0, text.len() as u64);
        all
    }

    fn cells(record: &str) -> Result<Vec<Option<String>>, BadQuotes> {
        let mut cells = Cells::default();
        cells.read(record.as_bytes(), b',')?;
        let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).unwrap();
        Ok(cells.iter().map(|cell| cell.map(text)).collect())
    }

    #[test]
    fn records_end_at_the_ends_of_lines_that_are_in_no_quotes() {
        let text = "\u{feff}a,b\r\n\n1,\"x\n,\"\"y\"\r\n2,5\" pipe\n3,\"never closed\n4,last";
        let expected = [
            (1, "a,b"),
            (3, "1,\"x\n,\"\"y\""),
            (5, "2,5\" pipe"),
            (6, "3,\"never closed"),
            (7, "4,last"),
        ];
        for drop in [1, 2, 3, 7, 1000] {
            let found = records(text, drop);
            let found: Vec<(u64, &str)> = found
                .iter()
                .map(|(line, text)| (*line, text.as_str()))
                .collect();
            assert_eq!(found, expected, "{drop} bytes at a time");
        }
        assert_eq!(records("", 1), []);
        let last = "1,\"two\nlines\"";
        assert_eq!(records(last, 4), [(1, last.to_owned())]);
    }

    #[test]
    fn an_empty_cell_is_null_and_a_quoted_one_is_text() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            cells("1,,\"\",\"a,\"\"b\"\"\",5\" pipe,"),
            Ok(vec![
                some("1"),
                None,
                some(""),
                some("a,\"b\""),
                some("5\" pipe"),
                None
            ])
        );
        for broken in ["1,\"open", "\"a\"b,1", "\"a\"\"", "\""] {
            assert_eq!(cells(broken), Err(BadQuotes), "{broken}");
        }
    }
}
