//! Avro's binary form, straight into the JSON that Connect's JsonConverter would write. Nothing is built in between, and
//! no length that the bytes claim is believed before so many bytes are there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::decoder::LARGEST_MESSAGE;
use super::super::fate::Reason;
use super::super::json::{MOST_LEVELS, Step};
use super::schema::{Node, Schema};

/// Elements of a list that have no bytes of their own (null, a record without fields): Connect writes no such list, and
/// three bytes could claim as many as fit into memory.
const MOST_EMPTY: u64 = 1024;

pub(super) struct Datum<'a> {
    schema: &'a Schema,
    bytes: &'a [u8],
}

/// Appends the datum that `bytes` are, to the last of them.
pub(super) fn write(schema: &Schema, bytes: &[u8], out: &mut Vec<u8>) -> Step<()> {
    let mut datum = Datum { schema, bytes };
    datum.value(schema.root, out, 0)?;
    match datum.bytes {
        [] => Ok(()),
        _ => Err(Reason::BadAvro),
    }
}

impl<'a> Datum<'a> {
    fn value(&mut self, node: usize, out: &mut Vec<u8>, level: u32) -> Step<()> {
        if level > MOST_LEVELS {
            return Err(Reason::TooDeep);
        }
        // elements may have no bytes at all, so what comes out is bounded, too
        if out.len() > LARGEST_MESSAGE {
            return Err(Reason::TooLarge);
        }
        match self.schema.nodes.get(node).ok_or(Reason::BadAvro)? {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Boolean => match self.take(1)? {
                [0] => out.extend_from_slice(b"false"),
                [1] => out.extend_from_slice(b"true"),
                _ => return Err(Reason::BadAvro),
            },
            Node::Whole => out.extend_from_slice(self.long()?.to_string().as_bytes()),
            Node::Float => {
                let value = f32::from_le_bytes(self.array()?);
                float(f64::from(value), format!("{value:?}"), out);
            }
            Node::Double => {
                let value = f64::from_le_bytes(self.array()?);
                float(value, format!("{value:?}"), out);
            }
            Node::Bytes => base64(self.block()?, out),
            Node::Fixed(size) => base64(self.take(*size)?, out),
            Node::String => text(self.block()?, out)?,
            Node::Enum(symbols) => {
                let symbol = self.place()?;
                out.extend_from_slice(symbols.get(symbol).ok_or(Reason::BadAvro)?);
            }
            Node::Union(branches) => {
                let branch = self.place()?;
                let node = *branches.get(branch).ok_or(Reason::BadAvro)?;
                self.value(node, out, level + 1)?;
            }
            Node::Array(items) => {
                out.push(b'[');
                self.items(b']', out, |datum, out| datum.value(*items, out, level + 1))?;
            }
            Node::Map(values) => {
                out.push(b'{');
                self.items(b'}', out, |datum, out| {
                    text(datum.block()?, out)?;
                    out.push(b':');
                    datum.value(*values, out, level + 1)
                })?;
            }
            Node::Record(fields) => {
                out.push(b'{');
                for (index, (name, node)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                    self.value(*node, out, level + 1)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    /// Blocks of elements; a negative count is followed by the block's size in bytes.
    fn items(
        &mut self,
        end: u8,
        out: &mut Vec<u8>,
        mut item: impl FnMut(&mut Datum<'a>, &mut Vec<u8>) -> Step<()>,
    ) -> Step<()> {
        let mut first = true;
        loop {
            let count = self.long()?;
            if count < 0 {
                self.long()?;
            }
            if count == 0 {
                out.push(end);
                return Ok(());
            }
            if count.unsigned_abs() > MOST_EMPTY + self.bytes.len() as u64 {
                return Err(Reason::BadAvro);
            }
            for _ in 0..count.unsigned_abs() {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                item(self, out)?;
            }
        }
    }

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Reason::BadAvro)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Reason::BadAvro)
    }

    /// Zigzag, seven bits at a time, the lowest first.
    fn long(&mut self) -> Step<i64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Reason::BadAvro);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
            if shift > 63 {
                return Err(Reason::BadAvro);
            }
        }
    }

    fn place(&mut self) -> Step<usize> {
        usize::try_from(self.long()?).map_err(|_| Reason::BadAvro)
    }

    fn block(&mut self) -> Step<&'a [u8]> {
        let length = self.place()?;
        self.take(length)
    }
}

/// JSON has no word for what is no number; Connect writes those as strings.
fn float(value: f64, spelled: String, out: &mut Vec<u8>) {
    let word = match value {
        _ if value.is_nan() => "\"NaN\"",
        f64::INFINITY => "\"Infinity\"",
        f64::NEG_INFINITY => "\"-Infinity\"",
        _ => &spelled,
    };
    out.extend_from_slice(word.as_bytes());
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = String::new();
    STANDARD.encode_string(bytes, &mut text);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn text(bytes: &[u8], out: &mut Vec<u8>) -> Step<()> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Reason::BadUtf8)?;
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    Ok(())
}
