//! Which version a row gets that was read from the source database and not from its topic.
//!
//! ```text
//! partition 0   ├─────────────┤ end 10           versions below 10.0: just under offset 10 of this epoch
//! partition 1   ├──────────────────────┤ end 1,000,000
//! ```
//!
//! The ends are read *before* the source is. So a change below the end of its partition is in what was read, and has
//! to lose against it; a change at or above the end may be newer, and has to win. A key lives on one partition: where
//! silver knows which, its end counts, otherwise the lowest end of all, below which no later change of any key is.
//! Written again at the same ends, the row's revision rises.

use std::collections::BTreeMap;

use crate::column::version;
use crate::sink::stored::Newest;

/// Stands in `_partition` of a row whose key silver had never met: nobody knows where its changes will come.
pub const UNKNOWN_PARTITION: i32 = -1;
/// Versions of one offset: its revisions.
const REVISIONS: u64 = 1 << 8;

/// Partition → first offset that did not exist yet when the ends were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    epoch: u8,
    ends: BTreeMap<i32, i64>,
}

/// The newest row that silver has of a key, deleted ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub partition: i32,
    pub version: u64,
}

impl From<Newest> for Known {
    fn from(newest: Newest) -> Known {
        Known {
            partition: newest.partition,
            version: newest.version,
        }
    }
}

/// What a row that was read from the source carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub version: u64,
    pub partition: i32,
}

/// Why a key cannot be written: no version is left between what silver has and what later changes will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// silver's row is at or above the end: it came after the ends were read
    Newer,
    /// rewritten 255 times while the partition stood still
    Revisions,
}

impl Ends {
    pub fn new(epoch: u8, ends: BTreeMap<i32, i64>) -> Ends {
        Ends { epoch, ends }
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        self.ends.iter().map(|(partition, end)| (*partition, *end))
    }

    pub fn epoch(&self) -> u8 {
        self.epoch
    }

    /// The first version of each partition that comes after the ends.
    pub fn first_after(&self) -> impl Iterator<Item = (i32, u64)> {
        self.iter()
            .map(|(partition, end)| (partition, version(self.epoch, end)))
    }

    pub fn stamp(&self, known: Option<Known>) -> Result<Stamp, NoRoom> {
        // an earlier epoch's partitions are not this epoch's
        let home = known
            .filter(|known| known.version >= version(self.epoch, 0))
            .and_then(|known| Some((known.partition, *self.ends.get(&known.partition)?)));
        let (partition, end) = match home {
            Some(home) => home,
            None => {
                let lowest = self.ends.values().min().copied().unwrap_or(0);
                (UNKNOWN_PARTITION, lowest)
            }
        };
        // an empty partition's end is the first version of the epoch; what lies below it beats every earlier epoch
        let above = version(self.epoch, end);
        let first = above - REVISIONS + 1;
        let rewritten = known.map_or(0, |known| known.version.saturating_add(1));
        let version = first.max(rewritten);
        if version < above {
            return Ok(Stamp { version, partition });
        }
        Err(match known {
            Some(known) if known.version < above => NoRoom::Revisions,
            _ => NoRoom::Newer,
        })
    }
}

/// What a line of a file carries: below every change of the epoch. A row that silver knows, deleted or not, is written over
/// only where that is wanted, and then just above the change that it came from, so that the next one wins.
pub fn stamp_of_file(epoch: u8, known: Option<Known>, overwrite: bool) -> Result<Stamp, NoRoom> {
    let unknown = Ends::new(epoch, BTreeMap::new()).stamp(None)?;
    match known {
        None => Ok(unknown),
        Some(_) if !overwrite => Err(NoRoom::Newer),
        Some(known) if known.version % REVISIONS == REVISIONS - 1 => Err(NoRoom::Revisions),
        Some(known) => Ok(Stamp {
            version: unknown.version.max(known.version + 1),
            partition: known.partition,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Ends {
        Ends::new(2, BTreeMap::from([(0, 10), (1, 1_000_000), (2, 0)]))
    }

    fn known(partition: i32, version: u64) -> Option<Known> {
        Some(Known { partition, version })
    }

    #[test]
    fn a_known_key_gets_the_version_just_below_the_end_of_its_own_partition() {
        let stamp = ends().stamp(known(1, version(2, 5))).unwrap();
        assert_eq!(stamp.partition, 1);
        assert_eq!(stamp.version, version(2, 999_999) + 1);
        let stamp = ends().stamp(known(0, version(2, 9))).unwrap();
        assert_eq!(
            stamp.version,
            version(2, 9) + 1,
            "it wins over the last change there was"
        );
        assert!(stamp.version < version(2, 10), "and loses against the next");
    }

    #[test]
    fn an_unknown_key_loses_against_the_first_change_of_every_partition() {
        for unknown in [None, known(UNKNOWN_PARTITION, version(1, 0) + 1)] {
            let stamp = ends().stamp(unknown).unwrap();
            assert_eq!(stamp.partition, UNKNOWN_PARTITION);
            assert!(stamp.version < version(2, 0), "partition 2 is empty");
            assert!(
                stamp.version > version(1, 1 << 40),
                "every earlier epoch loses"
            );
        }
    }

    #[test]
    fn where_a_key_lived_in_an_earlier_epoch_says_nothing() {
        let stamp = ends().stamp(known(1, version(1, 77))).unwrap();
        assert_eq!(stamp.partition, UNKNOWN_PARTITION);
    }

    #[test]
    fn a_row_that_is_written_again_at_the_same_ends_raises_its_revision() {
        let mut last = ends().stamp(known(0, version(2, 3))).unwrap();
        for _ in 2..REVISIONS {
            let next = ends().stamp(known(last.partition, last.version)).unwrap();
            assert_eq!(next.version, last.version + 1);
            last = next;
        }
        let none_left = ends().stamp(known(last.partition, last.version));
        assert_eq!(none_left, Err(NoRoom::Revisions));
    }

    #[test]
    fn a_row_that_came_after_the_ends_were_read_is_left_alone() {
        assert_eq!(ends().stamp(known(0, version(2, 10))), Err(NoRoom::Newer));
    }

    #[test]
    fn a_line_of_a_file_loses_to_every_change_and_is_written_over_known_rows_where_wanted() {
        let line = |known, overwrite| stamp_of_file(2, known, overwrite).map(|stamp| stamp.version);
        let first = line(None, false).unwrap();
        assert!(version(1, 1 << 40) < first && first < version(2, 0));
        assert_eq!(line(None, true), Ok(first));
        for there in [version(1, 7), first, version(2, 0)] {
            assert_eq!(line(known(0, there), false), Err(NoRoom::Newer));
        }
        assert_eq!(line(known(0, version(1, 7)), true), Ok(first));
        assert_eq!(line(known(0, first), true), Ok(first + 1));
        assert_eq!(line(known(0, version(2, 7)), true), Ok(version(2, 7) + 1));
        let last = version(2, 8) - 1;
        assert_eq!(line(known(0, last), true), Err(NoRoom::Revisions));
    }

    /// What happens to three keys of three partitions: the log that Kafka has, the source, and silver.
    struct World {
        /// (version, value, partition); no value: deleted
        silver: [Option<(u64, Option<u64>, i32)>; 3],
        source: [Option<u64>; 3],
        /// partition, offset, key, value
        log: Vec<(usize, i64, usize, Option<u64>)>,
        next: [i64; 3],
        home: [usize; 3],
    }

    impl World {
        fn change(&mut self, key: usize, value: Option<u64>) {
            let home = self.home[key];
            self.source[key] = value;
            self.log.push((home, self.next[home], key, value));
            self.next[home] += 1;
        }

        fn write(&mut self, key: usize, row: (u64, Option<u64>, i32)) {
            self.silver[key] = self.silver[key].max(Some(row));
        }

        fn deliver(&mut self, changes: usize) {
            let changes = changes.min(self.log.len());
            for (partition, offset, key, value) in self.log.drain(..changes).collect::<Vec<_>>() {
                self.write(key, (version(1, offset), value, partition as i32));
            }
        }

        fn ends(&self) -> Ends {
            let ends = self.next.iter().enumerate();
            Ends::new(1, ends.map(|(at, end)| (at as i32, *end)).collect())
        }

        fn repair(&mut self, key: usize, ends: &Ends, read: Option<u64>) {
            let known =
                self.silver[key].map(|(version, _, partition)| Known { partition, version });
            if (known, read) == (None, None) {
                return;
            }
            match ends.stamp(known) {
                Ok(stamp) => self.write(key, (stamp.version, read, stamp.partition)),
                Err(why) => assert_eq!(why, NoRoom::Newer),
            }
        }
    }

    /// Changes and deletes before, between and after the steps of a repair, delivered late.
    #[test]
    fn whatever_comes_before_and_after_a_repair_the_source_wins() {
        let mut state = 42_u64;
        let mut below = |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % most
        };
        for _ in 0..5_000 {
            let mut world = World {
                // the first is wrong, the second was never heard of, the third is a ghost
                silver: [
                    Some((version(1, 4), Some(99), 0)),
                    None,
                    Some((version(1, 900_000), Some(98), 1)),
                ],
                source: [Some(1), Some(2), None],
                log: Vec::new(),
                next: [10, 1_000_000, 0],
                home: [0, below(3) as usize, 1],
            };
            for round in 0..3 {
                let mut changes = |world: &mut World| {
                    for _ in 0..below(4) {
                        let value = (below(3) > 0).then_some(100 * round + below(100));
                        world.change(below(3) as usize, value);
                        world.deliver(below(2) as usize);
                    }
                };
                changes(&mut world);
                let ends = world.ends();
                // an unknown key is only written once ingest has passed the ends
                world.deliver(usize::MAX);
                changes(&mut world);
                let read = world.source;
                changes(&mut world);
                for (key, value) in read.into_iter().enumerate() {
                    world.repair(key, &ends, value);
                }
                changes(&mut world);
            }
            world.deliver(usize::MAX);
            let silver = world.silver.map(|row| row.and_then(|(_, value, _)| value));
            assert_eq!(silver, world.source);
        }
    }
}
