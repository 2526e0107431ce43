//! The Kafka key: it names the row of a delete, and it must agree with the row of any other change.

use super::fate::{Reason, Reject};
use super::image::Layout;
use super::json::Cursor;
use super::plan::Plan;
use super::progress::Progress;
use crate::column::Data;

/// Compares the key with the row image that was just read. Equal spellings are equal; others are read as the column's
/// type and compared as values.
pub(super) fn agrees(
    layout: &mut Layout,
    plan: &Plan,
    key: &mut Cursor<'_>,
    row: &[u8],
    progress: &mut Progress,
) -> Result<(), Reject> {
    key.expect(b'{')?;
    let mut named = 0;
    let mut found = 0_u64;
    if !key.eat(b'}') {
        loop {
            if let Some(column) = layout.next(plan, named, key)? {
                key.peek();
                let start = key.at();
                key.skip()?;
                let value = key.since(start);
                let place = plan.key_place.get(column).copied().flatten();
                let bit = place.and_then(|place| 1_u64.checked_shl(place as u32));
                let bit = bit.unwrap_or_default();
                if found & bit != 0 {
                    return Err(plan.reject(Reason::DuplicateField, column));
                }
                found |= bit;
                let span = place.and_then(|place| progress.key_spans.get(place).cloned());
                let in_row = span.and_then(|span| row.get(span)).unwrap_or_default();
                if value != in_row && !same(layout, plan, column, [value, in_row], progress) {
                    let null = value == b"null";
                    let reason = if null {
                        Reason::NullKey
                    } else {
                        Reason::KeyMismatch
                    };
                    return Err(plan.reject(reason, column));
                }
            } else {
                key.skip()?;
            }
            named += 1;
            if !key.more(b'}')? {
                break;
            }
        }
    }
    match found.count_ones() as usize == plan.job.key.len() {
        true => Ok(()),
        false => Err(Reason::NullKey.into()),
    }
}

/// Whether two spellings are the same value of the column's type.
#[cold]
fn same(
    layout: &Layout,
    plan: &Plan,
    column: usize,
    spellings: [&[u8]; 2],
    progress: &mut Progress,
) -> bool {
    let (Some(reader), Some(declared)) = (layout.reader(column), plan.job.columns.get(column))
    else {
        return false;
    };
    let mut cells = Data::new(&declared.kind);
    let read = spellings.iter().all(|spelling| {
        let mut cursor = Cursor::new(spelling);
        reader
            .read(&mut cursor, &mut cells, &mut progress.scratch)
            .is_ok()
    });
    read && cells.cell(0).is_some() && cells.cell(0) == cells.cell(1)
}

/// Fills the key columns from the Kafka key or a `before` image, and every other column with its default.
pub(super) fn fill(
    layout: &mut Layout,
    plan: &Plan,
    image: &mut Cursor<'_>,
    cells: &mut [Data],
    progress: &mut Progress,
) -> Result<(), Reject> {
    progress.begin(cells.len(), plan.job.key.len());
    layout.read(plan, image, cells, progress)?;
    for (column, data) in cells.iter_mut().enumerate() {
        match (progress.is_filled(column), plan.is_key(column)) {
            (true, _) => {}
            (false, true) => return Err(plan.reject(Reason::NullKey, column)),
            (false, false) => data.put_default(),
        }
    }
    Ok(())
}
