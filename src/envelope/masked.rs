//! Masks: what leaves the decoder instead of a value.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::fate::Reason;
use super::json::{Cursor, Step};
use super::value::Scratch;
use crate::column::Data;
use crate::job::Mask;

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn masked(
    mask: &Mask,
    cursor: &mut Cursor<'_>,
    data: &mut Data,
    scratch: &mut Scratch,
) -> Step<()> {
    match mask {
        Mask::Null => {
            cursor.skip()?;
            data.put_default();
        }
        Mask::Hash(key) => {
            let text = text(cursor, &mut scratch.text)?;
            // any length is a key
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key.bytes()).map_err(|_| Reason::BadValue)?;
            mac.update(text);
            let digest = mac.finalize().into_bytes();
            scratch.bytes.clear();
            for byte in digest {
                let digits = [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)));
                scratch.bytes.extend(digits.into_iter().flatten());
            }
            data.put_text(&scratch.bytes);
        }
        Mask::Last(told) => {
            let text = text(cursor, &mut scratch.text)?;
            let text = std::str::from_utf8(text).map_err(|_| Reason::BadUtf8)?;
            let length = text.chars().count();
            // a text that is no longer than what may be told would be told whole
            let hidden = if length > *told {
                length - told
            } else {
                length
            };
            scratch.bytes.clear();
            scratch.bytes.resize(hidden, b'*');
            let rest: String = text.chars().skip(hidden).collect();
            scratch.bytes.extend_from_slice(rest.as_bytes());
            data.put_text(&scratch.bytes);
        }
    }
    Ok(())
}

/// The text of a string, or any other value as it stands in the message.
fn text<'a: 'b, 'b>(cursor: &mut Cursor<'a>, scratch: &'b mut Vec<u8>) -> Step<&'b [u8]> {
    if cursor.peek() == Some(b'"') {
        return cursor.string()?.resolve(scratch);
    }
    let start = cursor.at();
    cursor.skip()?;
    Ok(cursor.since(start))
}
