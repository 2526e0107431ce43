//! The text format of `COPY … TO STDOUT`: a line a row, tabs between cells, `\N` for NULL.

/// The cells of one line, unescaped; its buffers are used again for the next.
#[derive(Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    cells: Vec<Option<(usize, usize)>>,
}

impl Line {
    /// `line` is without its end.
    pub(super) fn read(&mut self, line: &[u8]) {
        self.bytes.clear();
        self.cells.clear();
        for cell in line.split(|byte| *byte == b'\t') {
            if cell == b"\\N" {
                self.cells.push(None);
                continue;
            }
            let start = self.bytes.len();
            unescape(cell, &mut self.bytes);
            self.cells.push(Some((start, self.bytes.len())));
        }
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = Option<&[u8]>> + Clone {
        self.cells.iter().map(|cell| {
            let (start, end) = (*cell)?;
            self.bytes.get(start..end)
        })
    }
}

fn unescape(mut rest: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        match escaped {
            [_, letter, more @ ..] => {
                out.push(match letter {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    other => *other,
                });
                rest = more;
            }
            _ => {
                out.extend_from_slice(escaped);
                rest = &[];
            }
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_and_unescaped() {
        let mut line = Line::default();
        line.read(b"7\t\\N\t\ta\\tb\\\\N\\n\\x41");
        let cells: Vec<Option<&[u8]>> = line.cells().collect();
        assert_eq!(
            cells,
            [
                Some(&b"7"[..]),
                None,
                Some(&b""[..]),
                Some(&b"a\tb\\N\nx41"[..])
            ]
        );
    }
}
