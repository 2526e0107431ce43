//! JSON strings: where they end, and the text that their escapes spell.

use super::fate::Reason;
use super::json::Step;

/// What stands between the quotes of a JSON string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    /// whether `raw` has escapes to resolve
    pub(crate) escaped: bool,
}

/// Bytes before the next quote, backslash or control character, eight at a time: a byte of `special` is not 0 where its
/// byte of the text is one of them, and the first such byte is exact (what follows it may be carried over).
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut plain = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = zero(word ^ (ONES * 0x22));
        let backslash = zero(word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote | backslash | control) & HIGH;
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    plain + rest.iter().take_while(|byte| !special(**byte)).count()
}

pub(super) fn escape_length(bytes: &[u8]) -> Step<usize> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u')
            if bytes
                .get(2..6)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
        {
            Ok(6)
        }
        _ => Err(Reason::BadJson),
    }
}

impl<'a> Text<'a> {
    /// The text itself; `scratch` holds it where escapes had to be resolved.
    #[inline]
    pub(crate) fn resolve<'b>(self, scratch: &'b mut Vec<u8>) -> Step<&'b [u8]>
    where
        'a: 'b,
    {
        if !self.escaped {
            return Ok(self.raw);
        }
        scratch.clear();
        unescape(self.raw, scratch)?;
        Ok(scratch)
    }
}

/// Appends the text that `raw` spells. A surrogate without its other half is no character.
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Step<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at).ok_or(Reason::BadJson)?;
        out.extend_from_slice(plain);
        let (length, character) = match escape.get(1) {
            Some(b'b') => (2, '\u{8}'),
            Some(b'f') => (2, '\u{c}'),
            Some(b'n') => (2, '\n'),
            Some(b'r') => (2, '\r'),
            Some(b't') => (2, '\t'),
            Some(b'u') => unicode(escape)?,
            Some(same) => (2, char::from(*same)),
            None => return Err(Reason::BadJson),
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn unicode(escape: &[u8]) -> Step<(usize, char)> {
    let unit = |at: usize| {
        let hex = escape
            .get(at..at + 4)
            .and_then(|hex| std::str::from_utf8(hex).ok())?;
        u32::from_str_radix(hex, 16).ok()
    };
    let first = unit(2).ok_or(Reason::BadJson)?;
    let (length, code) = match first {
        0xd800..=0xdbff => match (escape.get(6..8), unit(8)) {
            (Some(b"\\u"), Some(second @ 0xdc00..=0xdfff)) => {
                (12, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            _ => return Err(Reason::BadUtf8),
        },
        code => (6, code),
    };
    let character = char::from_u32(code).ok_or(Reason::BadUtf8)?;
    Ok((length, character))
}
