//! SELECTs whose result is fetched block by block.
//!
//! libchdb formats each block on its own, so a format with a prologue repeats it in front of every block: ours to take
//! away again. Formats with an epilogue or with separators between rows cannot be put together from such pieces; they
//! are answered whole, from memory.

use super::failure::{Code, Failure};
use super::handle::Session;
use super::reply::Reply;
use super::request::Request;
use super::statement;

/// What stands in front of the first row of each piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prologue {
    Nothing,
    /// lines; a line end within a name is escaped
    Lines(usize),
    /// as `Lines`, but a line end within a name stands in double quotes
    QuotedLines(usize),
    /// a count, then that many length-prefixed texts, once or twice
    Texts(usize),
}

fn prologue(format: &str) -> Option<Prologue> {
    let found = match format {
        "TabSeparated"
        | "TSV"
        | "TabSeparatedRaw"
        | "TSVRaw"
        | "CSV"
        | "JSONEachRow"
        | "JSONLines"
        | "NDJSON"
        | "JSONCompactEachRow"
        | "JSONStringsEachRow"
        | "JSONCompactStringsEachRow"
        | "RowBinary"
        | "Native" => Prologue::Nothing,
        "TabSeparatedWithNames" | "TSVWithNames" | "JSONCompactEachRowWithNames" => {
            Prologue::Lines(1)
        }
        "TabSeparatedWithNamesAndTypes"
        | "TSVWithNamesAndTypes"
        | "JSONCompactEachRowWithNamesAndTypes" => Prologue::Lines(2),
        "CSVWithNames" => Prologue::QuotedLines(1),
        "CSVWithNamesAndTypes" => Prologue::QuotedLines(2),
        "RowBinaryWithNames" => Prologue::Texts(1),
        "RowBinaryWithNamesAndTypes" => Prologue::Texts(2),
        _ => return None,
    };
    Some(found)
}

/// Totals and extremes come after the rows, and a JSON array needs its end: such results are answered whole.
pub fn streams(format: &str, text: &[u8], request: &Request) -> bool {
    const AFTER_ROWS: [&str; 3] = [
        "extremes",
        "output_format_json_array_of_rows",
        "output_format_write_statistics",
    ];
    let mentioned = |name: &str| {
        statement::mentions(text, name) || request.settings.iter().any(|(set, _)| set == name)
    };
    prologue(format).is_some()
        && !statement::mentions(text, "TOTALS")
        && !statement::mentions(text, "OUTFILE")
        && !AFTER_ROWS.into_iter().any(mentioned)
}

pub fn stream(
    session: &mut Session,
    request: &Request,
    (text, format): (&[u8], &str),
    reply: &mut Reply,
) -> Result<(), Failure> {
    let kind = prologue(format).unwrap_or(Prologue::Nothing);
    let mut stream = session.stream(text, format, &request.params)?;
    let mut first = true;
    while let Some(piece) = stream.next()? {
        reply.count(piece.figures());
        let data = piece.data();
        let from = if first {
            Some(0)
        } else {
            rows_start(kind, data)
        };
        let rows = from.and_then(|from| data.get(from..)).ok_or_else(|| {
            Failure::new(
                Code::Unknown,
                format!("a piece of the {format} result has no prologue"),
            )
        })?;
        reply.write(rows)?;
        first = false;
    }
    Ok(())
}

/// Where the rows begin behind the prologue.
fn rows_start(kind: Prologue, data: &[u8]) -> Option<usize> {
    match kind {
        Prologue::Nothing => Some(0),
        Prologue::Lines(lines) | Prologue::QuotedLines(lines) => {
            let quotes = matches!(kind, Prologue::QuotedLines(_));
            let (mut quoted, mut left) = (false, lines);
            for (at, byte) in data.iter().enumerate() {
                match byte {
                    b'"' if quotes => quoted = !quoted,
                    b'\n' if !quoted => left -= 1,
                    _ => {}
                }
                if left == 0 {
                    return Some(at + 1);
                }
            }
            None
        }
        Prologue::Texts(rounds) => {
            let (count, mut at) = varint(data, 0)?;
            for _ in 0..count.checked_mul(rounds)? {
                let (length, start) = varint(data, at)?;
                at = start.checked_add(length)?;
            }
            Some(at)
        }
    }
}

/// LEB128, as lengths are written: the value and where it ends.
fn varint(data: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let (mut value, mut shift) = (0usize, 0);
    loop {
        let byte = *data.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((value, at));
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_behind_names_and_types() {
        for (format, data, rows) in [
            ("CSVWithNames", &b"\"a\nb\",\"c\"\n1,2\n"[..], &b"1,2\n"[..]),
            ("TSVWithNamesAndTypes", b"\"a\nUInt8\n1\n", b"1\n"),
            (
                "RowBinaryWithNamesAndTypes",
                b"\x01\x01a\x05UInt8\x07",
                b"\x07",
            ),
            ("JSONEachRow", b"{}\n", b"{}\n"),
        ] {
            let at = rows_start(prologue(format).unwrap(), data).unwrap();
            assert_eq!(&data[at..], rows, "{format}");
        }
        assert_eq!(
            rows_start(Prologue::Texts(2), b"\x01\x01a\xff"),
            None,
            "cut off"
        );
    }
}
