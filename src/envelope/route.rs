//! Topics that hold the changes of several tables: whose a message is.

use super::json::{Cursor, Step};

/// `schema.table` of the source block (`database.table` where the source has no schemas); nothing where the message names
/// none, or is none: then its own form says what it is.
pub(super) fn table_of(value: &[u8], name: &mut Vec<u8>) -> bool {
    name.clear();
    matches!(find(Cursor::new(value), name), Ok(true))
}

fn find(mut cursor: Cursor<'_>, name: &mut Vec<u8>) -> Step<bool> {
    cursor.expect(b'{')?;
    loop {
        let key = cursor.key()?.raw;
        match (key, cursor.peek()) {
            (b"payload", Some(b'{')) => return find(cursor, name),
            (b"source", Some(b'{')) => return source(cursor, name),
            _ => cursor.skip()?,
        }
        if !cursor.more(b'}')? {
            return Ok(false);
        }
    }
}

fn source(mut cursor: Cursor<'_>, name: &mut Vec<u8>) -> Step<bool> {
    let (mut database, mut schema, mut table) = (None, None, None);
    cursor.expect(b'{')?;
    loop {
        let slot = match cursor.key()?.raw {
            b"db" => &mut database,
            b"schema" => &mut schema,
            b"table" => &mut table,
            _ => {
                cursor.skip()?;
                if !cursor.more(b'}')? {
                    break;
                }
                continue;
            }
        };
        match cursor.peek() {
            Some(b'"') => *slot = Some(cursor.string()?),
            _ => cursor.skip()?,
        }
        if !cursor.more(b'}')? {
            break;
        }
    }
    let (Some(schema), Some(table)) = (schema.or(database), table) else {
        return Ok(false);
    };
    let mut scratch = Vec::new();
    name.extend_from_slice(schema.resolve(&mut scratch)?);
    name.push(b'.');
    name.extend_from_slice(table.resolve(&mut scratch)?);
    Ok(true)
}
