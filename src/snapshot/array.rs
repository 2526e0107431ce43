//! `{1,NULL,"a \"b\""}`: PostgreSQL's spelling of an array.

use super::form::{Form, Odd};

/// As a JSON array. Arrays of arrays have no column to go to.
pub(super) fn write(cell: &[u8], element: &Form, out: &mut Vec<u8>) -> Result<(), Odd> {
    // bounds that do not start at 1 are told in front: `[0:2]={…}`
    let start = cell.iter().position(|byte| *byte == b'{').ok_or(Odd)?;
    let body = cell.get(start..).unwrap_or_default();
    let body = body
        .strip_prefix(b"{")
        .and_then(|body| body.strip_suffix(b"}"));
    let mut rest = body.ok_or(Odd)?;
    let mut text = Vec::new();
    out.push(b'[');
    let mut first = true;
    while !rest.is_empty() {
        if !first {
            rest = rest.strip_prefix(b",").ok_or(Odd)?;
            out.push(b',');
        }
        first = false;
        text.clear();
        match rest.split_first() {
            Some((b'"', quoted)) => {
                rest = unquote(quoted, &mut text)?;
                element.write(&text, out)?;
            }
            Some((b'{', _)) | None => return Err(Odd),
            Some(_) => {
                let end = rest.iter().position(|byte| *byte == b',');
                let (bare, more) = rest.split_at(end.unwrap_or(rest.len()));
                rest = more;
                match bare {
                    b"NULL" => out.extend_from_slice(b"null"),
                    bare => element.write(bare, out)?,
                }
            }
        }
    }
    out.push(b']');
    Ok(())
}

/// What follows the closing quote.
fn unquote<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], Odd> {
    loop {
        match rest {
            [b'\\', byte, more @ ..] => {
                text.push(*byte);
                rest = more;
            }
            [b'"', more @ ..] => return Ok(more),
            [byte, more @ ..] => {
                text.push(*byte);
                rest = more;
            }
            [] => return Err(Odd),
        }
    }
}
