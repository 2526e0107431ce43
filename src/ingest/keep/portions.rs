//! How rows are cut into inserts where their values are still in silver.

use std::collections::{HashMap, HashSet};

use super::decide::{Found, Write};
use crate::sink::recall::Stored;

/// Kept values of one insert.
const PORTION: u64 = 8 << 20;

pub(super) fn leans_on_silver(write: &Write) -> bool {
    let mut cells = write.cells.iter();
    cells.any(|(_, found)| matches!(found, Found::Silver(..)))
}

/// Rows whose values come to about one portion.
pub(super) fn portions(
    writes: Vec<(usize, Write)>,
    stored: &HashMap<Vec<u8>, Vec<Stored>>,
) -> Vec<Vec<(usize, Write)>> {
    let size = |write: &Write| -> u64 {
        let sources: HashSet<(&Vec<u8>, u64)> = write
            .cells
            .iter()
            .filter_map(|(_, found)| match found {
                Found::Silver(key, version) => Some((key, *version)),
                _ => None,
            })
            .collect();
        let bytes = |(key, version): (&Vec<u8>, u64)| {
            let mut versions = stored.get(key).into_iter().flatten();
            let found = versions.find(|stored| stored.version == version);
            found.map_or(0, |stored| stored.bytes)
        };
        sources.into_iter().map(bytes).sum()
    };
    let mut portions: Vec<Vec<(usize, Write)>> = Vec::new();
    let mut room = 0;
    for (at, write) in writes {
        let bytes = size(&write);
        match portions.last_mut() {
            Some(portion) if bytes <= room => {
                room -= bytes;
                portion.push((at, write));
            }
            _ => {
                room = PORTION.saturating_sub(bytes);
                portions.push(vec![(at, write)]);
            }
        }
    }
    portions
}
