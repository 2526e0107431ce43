//! The cells of one column, in nearly the layout that ClickHouse's Native format has.

use super::Type;

/// ```text
/// Fixed     little-endian values back to back
/// Text      bytes back to back, `ends[i]` = end of row i
/// Nullable  one byte per row (1 = NULL) + a default cell in the inner column
/// Array     `ends[i]` = end of row i in the inner column
/// Same      one text for every row of a low-cardinality column: a dictionary of one
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Fixed { width: usize, bytes: Vec<u8> },
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    Nullable { nulls: Vec<u8>, inner: Box<Data> },
    Array { ends: Vec<u64>, inner: Box<Data> },
    Same { value: Box<[u8]>, rows: usize },
}

/// Native's words for a low-cardinality column: its version; the dictionary travels with the block; it is new; keys of
/// one byte follow (type 0).
const LC_VERSION: u64 = 1;
const LC_OWN_KEYS: u64 = 1 << 9;
const LC_NEW_DICTIONARY: u64 = 1 << 10;

impl Data {
    pub(crate) fn new(kind: &Type) -> Data {
        match kind {
            Type::Nullable(inner) => Data::Nullable {
                nulls: Vec::new(),
                inner: Box::new(Data::new(inner)),
            },
            Type::LowCardinality(inner) => Data::new(inner),
            Type::Array(inner) => Data::Array {
                ends: Vec::new(),
                inner: Box::new(Data::new(inner)),
            },
            Type::String | Type::Json => Data::Text {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
            fixed => Data::Fixed {
                width: width(fixed),
                bytes: Vec::new(),
            },
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Data::Fixed { width, bytes } => bytes.len() / width,
            Data::Text { ends, .. } => ends.len(),
            Data::Nullable { nulls, .. } => nulls.len(),
            Data::Array { ends, .. } => ends.len(),
            Data::Same { rows, .. } => *rows,
        }
    }

    /// Memory held, spare capacity included.
    pub(crate) fn held(&self) -> usize {
        match self {
            Data::Fixed { bytes, .. } => bytes.capacity(),
            Data::Text { bytes, ends } => bytes.capacity() + ends.capacity() * size_of::<usize>(),
            Data::Nullable { nulls, inner } => nulls.capacity() + inner.held(),
            Data::Array { ends, inner } => ends.capacity() * size_of::<u64>() + inner.held(),
            Data::Same { value, .. } => value.len(),
        }
    }

    /// Appends a value of a fixed-width column; `N` is the column's width.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, value: [u8; N]) {
        match self {
            Data::Fixed { width, bytes } => {
                debug_assert_eq!(*width, N);
                bytes.extend_from_slice(&value);
            }
            Data::Nullable { nulls, inner } => {
                nulls.push(0);
                inner.put(value);
            }
            _ => debug_assert!(false, "not a fixed column"),
        }
    }

    #[inline]
    pub(crate) fn put_text(&mut self, value: &[u8]) {
        match self {
            Data::Text { bytes, ends } => {
                bytes.extend_from_slice(value);
                ends.push(bytes.len());
            }
            Data::Nullable { nulls, inner } => {
                nulls.push(0);
                inner.put_text(value);
            }
            _ => debug_assert!(false, "not a text column"),
        }
    }

    /// NULL where the column has it, otherwise the type's default.
    pub(crate) fn put_default(&mut self) {
        match self {
            Data::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
            Data::Text { bytes, ends } => ends.push(bytes.len()),
            Data::Nullable { nulls, inner } => {
                nulls.push(1);
                inner.put_default();
            }
            Data::Array { ends, inner } => ends.push(inner.len() as u64),
            Data::Same { rows, .. } => *rows += 1,
        }
    }

    /// Forgets every row from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Data::Fixed { width, bytes } => bytes.truncate(rows * *width),
            Data::Text { bytes, ends } => {
                ends.truncate(rows);
                bytes.truncate(ends.last().copied().unwrap_or(0));
            }
            Data::Nullable { nulls, inner } => {
                nulls.truncate(rows);
                inner.truncate(rows);
            }
            Data::Array { ends, inner } => {
                ends.truncate(rows);
                inner.truncate(ends.last().copied().unwrap_or(0) as usize);
            }
            Data::Same { rows: held, .. } => *held = rows.min(*held),
        }
    }

    /// Appends every row of another column of the same type.
    pub(crate) fn append(&mut self, other: &Data) {
        match (self, other) {
            (Data::Fixed { bytes, .. }, Data::Fixed { bytes: more, .. }) => {
                bytes.extend_from_slice(more);
            }
            (
                Data::Text { bytes, ends },
                Data::Text {
                    bytes: more,
                    ends: more_ends,
                },
            ) => {
                let start = bytes.len();
                bytes.extend_from_slice(more);
                ends.extend(more_ends.iter().map(|end| start + end));
            }
            (
                Data::Nullable { nulls, inner },
                Data::Nullable {
                    nulls: more,
                    inner: more_inner,
                },
            ) => {
                nulls.extend_from_slice(more);
                inner.append(more_inner);
            }
            (
                Data::Array { ends, inner },
                Data::Array {
                    ends: more,
                    inner: more_inner,
                },
            ) => {
                let start = inner.len() as u64;
                inner.append(more_inner);
                ends.extend(more.iter().map(|end| start + end));
            }
            _ => debug_assert!(false, "another type"),
        }
    }

    /// The bytes of one cell of a plain column; nothing for NULL and for arrays.
    #[inline]
    pub(crate) fn cell(&self, row: usize) -> Option<&[u8]> {
        match self {
            Data::Fixed { width, bytes } => bytes.get(row * width..(row + 1) * width),
            Data::Text { bytes, ends } => {
                let start = match row.checked_sub(1) {
                    None => 0,
                    Some(before) => *ends.get(before)?,
                };
                bytes.get(start..*ends.get(row)?)
            }
            Data::Nullable { nulls, inner } => match nulls.get(row)? {
                0 => inner.cell(row),
                _ => None,
            },
            Data::Array { .. } => None,
            Data::Same { value, .. } => Some(value),
        }
    }

    /// The rows named by `order`, in that order.
    pub(crate) fn gather(&self, order: &[u32]) -> Data {
        match self {
            Data::Fixed { width, bytes } => Data::Fixed {
                width: *width,
                bytes: match width {
                    1 => fixed::<1>(bytes, order),
                    2 => fixed::<2>(bytes, order),
                    4 => fixed::<4>(bytes, order),
                    8 => fixed::<8>(bytes, order),
                    16 => fixed::<16>(bytes, order),
                    _ => fixed::<32>(bytes, order),
                },
            },
            Data::Text { bytes, .. } => {
                let mut to = Vec::with_capacity(bytes.len());
                let mut to_ends = Vec::with_capacity(order.len());
                for &row in order {
                    to.extend_from_slice(self.cell(row as usize).unwrap_or_default());
                    to_ends.push(to.len());
                }
                Data::Text {
                    bytes: to,
                    ends: to_ends,
                }
            }
            Data::Nullable { nulls, inner } => Data::Nullable {
                nulls: fixed::<1>(nulls, order),
                inner: Box::new(inner.gather(order)),
            },
            Data::Array { ends, inner } => {
                let mut elements = Vec::with_capacity(inner.len());
                let mut to_ends = Vec::with_capacity(order.len());
                for &row in order {
                    elements.extend(span(ends, row as usize).map(|element| element as u32));
                    to_ends.push(elements.len() as u64);
                }
                Data::Array {
                    ends: to_ends,
                    inner: Box::new(inner.gather(&elements)),
                }
            }
            Data::Same { value, .. } => Data::Same {
                value: value.clone(),
                rows: order.len(),
            },
        }
    }

    /// Appends the column's Native bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Data::Fixed { bytes, .. } => out.extend_from_slice(bytes),
            Data::Text { bytes, ends } => {
                out.reserve(bytes.len() + 2 * ends.len());
                let mut start = 0;
                for &end in ends {
                    varint((end - start) as u64, out);
                    out.extend_from_slice(bytes.get(start..end).unwrap_or_default());
                    start = end;
                }
            }
            Data::Nullable { nulls, inner } => {
                out.extend_from_slice(nulls);
                inner.encode(out);
            }
            Data::Array { ends, inner } => {
                out.reserve(ends.len() * size_of::<u64>());
                for end in ends {
                    out.extend_from_slice(&end.to_le_bytes());
                }
                inner.encode(out);
            }
            Data::Same { value, rows } => {
                let header = [LC_VERSION, LC_OWN_KEYS | LC_NEW_DICTIONARY, 1];
                out.extend(header.iter().flat_map(|word| word.to_le_bytes()));
                varint(value.len() as u64, out);
                out.extend_from_slice(value);
                out.extend_from_slice(&(*rows as u64).to_le_bytes());
                out.resize(out.len() + rows, 0);
            }
        }
    }
}

/// Rows of the inner column that make up row `row` of an array column.
pub(crate) fn span(ends: &[u64], row: usize) -> std::ops::Range<usize> {
    let start = row.checked_sub(1).and_then(|before| ends.get(before));
    let start = start.copied().unwrap_or(0) as usize;
    start..ends.get(row).map_or(start, |end| *end as usize)
}

fn fixed<const N: usize>(bytes: &[u8], order: &[u32]) -> Vec<u8> {
    let (cells, _) = bytes.as_chunks::<N>();
    let mut to = Vec::with_capacity(order.len() * N);
    for &row in order {
        if let Some(cell) = cells.get(row as usize) {
            to.extend_from_slice(cell);
        }
    }
    to
}

fn width(kind: &Type) -> usize {
    match kind {
        Type::Bool | Type::Int8 | Type::UInt8 => 1,
        Type::Int16 | Type::UInt16 | Type::Date => 2,
        Type::Int32 | Type::UInt32 | Type::Float32 | Type::Date32 | Type::DateTime { .. } => 4,
        Type::Decimal { precision, .. } => match precision {
            0..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => 32,
        },
        Type::Uuid => 16,
        _ => 8,
    }
}

/// LEB128, as Native writes every length.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
