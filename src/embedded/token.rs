//! SQL as words, quoted texts and symbols: no grammar, so that nothing here can disagree with the engine's.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Word,
    Quoted,
    Symbol(u8),
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'t> {
    pub shape: Shape,
    pub text: &'t [u8],
    pub start: usize,
}

impl Token<'_> {
    pub fn is(&self, keyword: &str) -> bool {
        self.shape == Shape::Word && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Words, quoted texts and symbols; white space and comments are passed over.
pub struct Tokens<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        self.skip_blank();
        let start = self.at;
        let first = *self.text.get(start)?;
        let shape = match first {
            b'\'' | b'"' | b'`' => {
                self.skip_quoted(first);
                Shape::Quoted
            }
            _ if is_word(first) => {
                let rest = &self.text[start..];
                self.at += rest
                    .iter()
                    .position(|byte| !is_word(*byte))
                    .unwrap_or(rest.len());
                Shape::Word
            }
            _ => {
                self.at += 1;
                Shape::Symbol(first)
            }
        };
        Some(Token {
            shape,
            text: &self.text[start..self.at],
            start,
        })
    }
}

impl Tokens<'_> {
    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += match rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len()),
                [b'/', b'*', ..] => rest
                    .windows(2)
                    .skip(2)
                    .position(|pair| pair == b"*/")
                    .map_or(rest.len(), |at| at + 4),
                _ => return,
            };
        }
    }

    /// A backslash escapes the next byte; a doubled quote reads as two quoted texts side by side, which is as good here.
    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == quote {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub fn tokens(text: &[u8]) -> Tokens<'_> {
    Tokens { text, at: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_hide_what_they_hold() {
        let text = br"a -- b
            /* c ' */ 'd\'e' `f``g` # h
            (i)";
        let found: Vec<_> = tokens(text)
            .map(|token| String::from_utf8_lossy(token.text).into_owned())
            .collect();
        assert_eq!(found, ["a", r"'d\'e'", "`f`", "`g`", "(", "i", ")"]);
    }

    #[test]
    fn a_text_that_breaks_off_ends_the_tokens() {
        for text in ["'a", "'a\\", "/* a", "/*", "-- a", "\"", "/"] {
            assert!(tokens(text.as_bytes()).count() <= 1, "{text}");
        }
    }
}
