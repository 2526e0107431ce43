//! Reads blocks in ClickHouse's Native format, of columns whose types are known.

use super::{Data, Type};

/// What a SELECT of these types answered in `FORMAT Native`: its blocks one after another, as one column each. `None`
/// where the bytes are no such blocks.
pub(crate) fn read_native(mut bytes: &[u8], kinds: &[Type]) -> Option<Vec<Data>> {
    let mut columns: Vec<Data> = kinds.iter().map(Data::new).collect();
    while !bytes.is_empty() {
        let width = varint(&mut bytes)?;
        let rows = usize::try_from(varint(&mut bytes)?).ok()?;
        if usize::try_from(width).ok()? != kinds.len() {
            return None;
        }
        for (kind, column) in kinds.iter().zip(&mut columns) {
            text(&mut bytes)?;
            let spelled = text(&mut bytes)?;
            if spelled != kind.to_string().as_bytes() {
                return None;
            }
            let mut block = Data::new(kind);
            cells(&mut block, rows, &mut bytes)?;
            column.append(&block);
        }
    }
    Some(columns)
}

fn cells(data: &mut Data, rows: usize, from: &mut &[u8]) -> Option<()> {
    match data {
        Data::Fixed { width, bytes } => {
            bytes.extend_from_slice(take(from, rows.checked_mul(*width)?)?)
        }
        Data::Text { bytes, ends } => {
            for _ in 0..rows {
                bytes.extend_from_slice(text(from)?);
                ends.push(bytes.len());
            }
        }
        Data::Nullable { nulls, inner } => {
            nulls.extend_from_slice(take(from, rows)?);
            cells(inner, rows, from)?;
        }
        Data::Array { ends, inner } => {
            for _ in 0..rows {
                let end = take(from, size_of::<u64>())?.try_into().ok()?;
                ends.push(u64::from_le_bytes(end));
            }
            let elements = ends.last().copied().unwrap_or(0);
            cells(inner, usize::try_from(elements).ok()?, from)?;
        }
        Data::Same { .. } => return None,
    }
    Some(())
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(from)?).ok()?;
    take(from, length)
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

/// LEB128.
fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Block;
    use super::*;

    #[test]
    fn what_was_encoded_is_read_back_block_by_block() {
        let kinds: Vec<Type> = ["Int64", "Nullable(String)", "Array(Nullable(Int32))"]
            .iter()
            .map(|kind| Type::parse(kind).unwrap())
            .collect();
        let mut data: Vec<Data> = kinds.iter().map(Data::new).collect();
        data[0].put(7_i64.to_le_bytes());
        data[0].put((-1_i64).to_le_bytes());
        data[1].put_text("é".repeat(100).as_bytes());
        data[1].put_default();
        data[2].put_default();
        if let Data::Array { ends, inner } = &mut data[2] {
            inner.put(5_i32.to_le_bytes());
            inner.put_default();
            ends.push(2);
        }
        let named = |(at, kind): (usize, &Type)| (format!("c{at}"), kind.clone());
        let columns: Vec<_> = kinds.iter().enumerate().map(named).collect();
        let block = Block::new(columns, data.clone(), 2);
        let mut bytes = Vec::new();
        block.encode_native(&mut bytes);
        assert_eq!(read_native(&bytes, &kinds).unwrap(), data);
        let one = bytes.clone();
        bytes.extend(&one);
        let twice = read_native(&bytes, &kinds).unwrap();
        assert_eq!(twice[1].gather(&[2, 3]), data[1]);
        assert_eq!(twice[2].gather(&[2, 3]), data[2]);
        for cut in 1..one.len() {
            assert_eq!(read_native(&one[..cut], &kinds), None, "{cut}");
        }
    }
}
