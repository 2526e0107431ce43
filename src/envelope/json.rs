//! A strict JSON cursor over text that is known to be UTF-8. It builds nothing: values are read where they stand.

use super::fate::Reason;
use super::text::{Text, escape_length, plain_length};

/// Deepest nesting that is walked; deeper messages are rejected.
pub(crate) const MOST_LEVELS: u32 = 64;

pub(crate) type Step<T> = Result<T, Reason>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Moves forward past bytes that the caller has compared.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The next byte that is no white space, not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Step<()> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(Reason::BadJson)
        }
    }

    /// Whether `null` stood here; it is consumed.
    #[inline]
    pub(crate) fn null(&mut self) -> Step<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null").map(|()| true)
    }

    pub(crate) fn word(&mut self, word: &[u8]) -> Step<()> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Reason::BadJson)
        }
    }

    pub(crate) fn bool(&mut self) -> Step<bool> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            Some(b'f') => self.word(b"false").map(|()| false),
            _ => Err(Reason::BadValue),
        }
    }

    /// A key and its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Step<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(Reason::BadJson);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// After a member: whether another follows (`,`) or the container ends (`end`).
    #[inline]
    pub(crate) fn more(&mut self, end: u8) -> Step<bool> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Reason::BadJson),
        }
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Step<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(Reason::BadValue);
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(self.rest());
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += escape_length(self.rest())?;
                }
                _ => return Err(Reason::BadJson), // the end, or a bare control character
            }
        }
        let raw = self.since(start);
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    /// A number's own text, checked against JSON's grammar.
    #[inline]
    pub(crate) fn number(&mut self) -> Step<&'a [u8]> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => {}
            _ => return Err(Reason::BadValue),
        }
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        let whole = self.digits();
        let leading_zero = whole > 1 && self.bytes.get(self.at - whole) == Some(&b'0');
        if whole == 0 || leading_zero {
            return Err(Reason::BadJson);
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Reason::BadJson);
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(Reason::BadJson);
            }
        }
        Ok(self.since(start))
    }

    /// Sign and magnitude of a whole number of at most eighteen digits; nothing, and nothing consumed, for anything else.
    #[inline]
    pub(crate) fn short_integer(&mut self) -> Option<(bool, u64)> {
        self.peek();
        let rest = self.rest();
        let (negative, digits) = match rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut magnitude = 0_u64;
        for (count, byte) in digits.iter().enumerate().take(19) {
            if byte.is_ascii_digit() {
                magnitude = magnitude * 10 + u64::from(byte - b'0');
                continue;
            }
            let leading_zero = count > 1 && digits.first() == Some(&b'0');
            if count == 0 || leading_zero || matches!(byte, b'.' | b'e' | b'E') {
                return None;
            }
            self.at += count + usize::from(negative);
            return Some((negative, magnitude));
        }
        None
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    /// Walks over one value of any kind and any width, checking it, without recursion.
    pub(crate) fn skip(&mut self) -> Step<()> {
        // one bit per open container: 1 = object
        let (mut objects, mut levels) = (0_u64, 0_u32);
        loop {
            let open = match self.peek() {
                Some(b'{') => Some(true),
                Some(b'[') => Some(false),
                _ => None,
            };
            if let Some(object) = open {
                self.at += 1;
                if levels == MOST_LEVELS {
                    return Err(Reason::TooDeep);
                }
                objects = objects << 1 | u64::from(object);
                levels += 1;
                let end = if object { b'}' } else { b']' };
                if !self.eat(end) {
                    if object {
                        self.key()?;
                    }
                    continue;
                }
                objects >>= 1;
                levels -= 1;
            } else {
                self.skip_plain()?;
            }
            loop {
                if levels == 0 {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                if self.more(if object { b'}' } else { b']' })? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                objects >>= 1;
                levels -= 1;
            }
        }
    }

    #[inline]
    fn skip_plain(&mut self) -> Step<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'n') => self.word(b"null"),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(Reason::BadJson),
        }
    }

    /// Only white space may follow.
    pub(crate) fn end(&mut self) -> Step<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Reason::BadJson),
        }
    }
}
