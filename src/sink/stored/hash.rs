//! Cells and columns as ClickHouse hashes them: RowBinary through its sipHash64.

#[allow(
    deprecated,
    reason = "SipHash-2-4, which is ClickHouse's sipHash64; the newer hasher may be any"
)]
use std::hash::{Hasher, SipHasher};

use super::Compared;
use crate::column::{Block, Data, span, varint};
use crate::sink::clickhouse::quote;

/// The hash of a NULL cell.
pub fn null_hash() -> u64 {
    sip(&[1])
}

pub(super) fn cell(column: &Compared, block: &Block, row: usize, place: usize, out: &mut Vec<u8>) {
    match (column.is_digits, block.data(place)) {
        (true, Some(data)) => digits(data, row, out),
        (false, Some(data)) => data.row_binary(row, out),
        (_, None) => {}
    }
}

/// The cell without zeros after the point.
fn digits(data: &Data, row: usize, out: &mut Vec<u8>) {
    match data {
        Data::Nullable { nulls, inner } if nulls.get(row) == Some(&0) => {
            out.push(0);
            digits(inner, row, out);
        }
        Data::Array { ends, inner } => {
            let elements = span(ends, row);
            varint(elements.len() as u64, out);
            elements.for_each(|element| digits(inner, element, out));
        }
        data => match data.cell(row) {
            Some(text) if text.contains(&b'.') => {
                let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
                let text = text.get(..text.len() - zeros).unwrap_or_default();
                let text = text.strip_suffix(b".").unwrap_or(text);
                varint(text.len() as u64, out);
                out.extend_from_slice(text);
            }
            _ => data.row_binary(row, out),
        },
    }
}

pub(super) fn expression(column: &Compared) -> String {
    let name = quote(&column.name);
    let trimmed = |digits: &str| {
        format!(
            "if(position({digits}, '.') > 0, trim(TRAILING '.' FROM trim(TRAILING '0' FROM {digits})), {digits})"
        )
    };
    match (column.is_digits, column.is_array) {
        (false, _) => name,
        (true, false) => trimmed(&name),
        (true, true) => format!("arrayMap(digits -> {}, {name})", trimmed("digits")),
    }
}

pub(super) fn hash(expressions: &str) -> String {
    format!("sipHash64(formatRow('RowBinary', {expressions}))")
}

pub(super) fn sip(bytes: &[u8]) -> u64 {
    #[allow(deprecated, reason = "see the import")]
    let mut hasher = SipHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_clickhouses_own() {
        assert_eq!(sip(b"abc"), 4_596_069_200_710_135_518);
        assert_eq!(sip(b""), 2_202_906_307_356_721_367);
    }
}
