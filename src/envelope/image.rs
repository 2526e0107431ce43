//! A row image: the fields of `after`, `before` or the Kafka key, each into its column.

use std::collections::HashMap;

use super::fate::{Reason, Reject};
use super::json::{Cursor, Step};
use super::placeholder::is_placeholder;
use super::plan::Plan;
use super::progress::Progress;
use super::reader::{Reader, Wire};
use super::schema::Wires;
use super::value::Scratch;
use crate::column::Data;
use crate::job::{Encoding, NewColumnPolicy, ValuePolicy};

/// Which fields of an image are read, and what other fields mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// all declared columns; others follow the job's policy
    Row,
    /// the key columns of a full or partial image
    KeyOfRow,
    /// the time column of a full image
    TimeOfRow,
    /// the Kafka key: another field in it means that the job's key is not the source's
    Key,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Column(usize),
    Ignored,
}

/// One way in which a topic's images are written, with the field order that was seen last.
///
/// ```text
/// i-th field of the image ── same bytes as `"name":` seen there last ──▶ column
///                         └─ otherwise: parse, look up, remember
/// ```
#[derive(Clone, Debug)]
pub(super) struct Layout {
    part: Part,
    readers: Vec<Reader>,
    targets: HashMap<Box<[u8]>, Target>,
    order: Vec<(Vec<u8>, Target)>,
}

impl Layout {
    pub(super) fn new(plan: &Plan, part: Part, wires: &Wires) -> Layout {
        let readers = plan.job.columns.iter().map(|column| {
            let declared = declared(column.encoding);
            Reader::of(column, wires.get(&column.source).unwrap_or(&declared))
        });
        let bytes = |name: &String| name.as_bytes().into();
        let mut targets: HashMap<Box<[u8]>, Target> = HashMap::new();
        targets.extend(
            plan.job
                .exclude
                .iter()
                .map(|name| (bytes(name), Target::Ignored)),
        );
        for (at, column) in plan.job.columns.iter().enumerate() {
            let is_read = match part {
                Part::Row => true,
                Part::TimeOfRow => plan.told_time == Some(at),
                Part::KeyOfRow | Part::Key => plan.is_key(at),
            };
            if is_read {
                targets.insert(bytes(&column.source), Target::Column(at));
            }
        }
        Layout {
            part,
            readers: readers.collect(),
            targets,
            order: Vec::new(),
        }
    }

    pub(super) fn reader(&self, column: usize) -> Option<&Reader> {
        self.readers.get(column)
    }

    /// Whether `key` is, byte for byte, an object of the row's key values as they stand in the row.
    #[inline]
    pub(super) fn spells(
        &self,
        plan: &Plan,
        key: &[u8],
        row: &[u8],
        progress: &Progress,
    ) -> Option<()> {
        let mut rest = key.strip_prefix(b"{")?;
        let mut found = 0_u64;
        for (at, (literal, target)) in self.order.iter().enumerate() {
            let Target::Column(column) = target else {
                return None;
            };
            let place = plan.key_place.get(*column).copied().flatten()?;
            found |= 1_u64.checked_shl(place as u32)?;
            let value = row.get(progress.key_spans.get(place)?.clone())?;
            rest = rest.strip_prefix(literal.as_slice())?.strip_prefix(value)?;
            let (end, more) = rest.split_first()?;
            let last = at + 1 == self.order.len();
            if *end != if last { b'}' } else { b',' } {
                return None;
            }
            rest = more;
        }
        let whole = found.count_ones() as usize == plan.job.key.len();
        (rest.is_empty() && whole).then_some(())
    }

    /// Which column the next field goes to; the cursor is then at its value.
    #[inline]
    pub(super) fn next(
        &mut self,
        plan: &Plan,
        place: usize,
        cursor: &mut Cursor<'_>,
    ) -> Result<Option<usize>, Reject> {
        cursor.peek();
        if let Some((literal, target)) = self.order.get(place)
            && cursor.rest().starts_with(literal)
        {
            cursor.advance(literal.len());
            return Ok(match target {
                Target::Column(column) => Some(*column),
                Target::Ignored => None,
            });
        }
        self.learn(plan, place, cursor)
    }

    #[cold]
    fn learn(
        &mut self,
        plan: &Plan,
        place: usize,
        cursor: &mut Cursor<'_>,
    ) -> Result<Option<usize>, Reject> {
        let start = cursor.at();
        let key = cursor.key()?;
        let mut buffer = Vec::new();
        let name = key.resolve(&mut buffer)?;
        let stranger = || match self.part {
            Part::Row => plan.job.policies.new_column == NewColumnPolicy::Ignore,
            Part::KeyOfRow | Part::TimeOfRow => true,
            Part::Key => false,
        };
        let target = match self.targets.get(name) {
            Some(target) => *target,
            None if stranger() => Target::Ignored,
            None => {
                let reason = match self.part {
                    Part::Key => Reason::KeyMismatch,
                    _ => Reason::UnknownColumn,
                };
                return Err(Reject {
                    reason,
                    column: Some(String::from_utf8_lossy(name).into_owned()),
                });
            }
        };
        let literal = cursor.since(start).to_vec();
        let known = self.order.len();
        match self.order.get_mut(place) {
            Some(slot) => *slot = (literal, target),
            None if place == known => self.order.push((literal, target)),
            None => {}
        }
        Ok(match target {
            Target::Column(column) => Some(column),
            Target::Ignored => None,
        })
    }

    /// Appends the one cell that this part is about; false where the image lacks it.
    pub(super) fn read_one(
        &mut self,
        plan: &Plan,
        cursor: &mut Cursor<'_>,
        data: &mut Data,
        scratch: &mut Scratch,
    ) -> Result<bool, Reject> {
        cursor.expect(b'{')?;
        let mut place = 0;
        let mut found = false;
        if cursor.eat(b'}') {
            return Ok(found);
        }
        loop {
            match self.next(plan, place, cursor)? {
                None => cursor.skip()?,
                Some(column) => {
                    let Some(reader) = self.readers.get(column) else {
                        return Err(Reason::UnknownColumn.into());
                    };
                    let read = reader.read(cursor, data, scratch);
                    read.map_err(|reason| plan.reject(reason, column))?;
                    found = true;
                }
            }
            place += 1;
            if !cursor.more(b'}')? {
                return Ok(found);
            }
        }
    }

    /// Appends one cell to every column that the image names; nothing is appended to the others.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        cursor: &mut Cursor<'_>,
        cells: &mut [Data],
        progress: &mut Progress,
    ) -> Result<(), Reject> {
        if !cursor.eat(b'{') {
            return Err(Reason::WrongEncoding.into());
        }
        if cursor.eat(b'}') {
            return Ok(());
        }
        let mut place = 0;
        loop {
            match self.next(plan, place, cursor)? {
                None => cursor.skip()?,
                Some(column) => {
                    if !progress.fill(column) {
                        return Err(plan.reject(Reason::DuplicateField, column));
                    }
                    let (Some(reader), Some(data)) =
                        (self.readers.get(column), cells.get_mut(column))
                    else {
                        return Err(Reason::UnknownColumn.into());
                    };
                    let cell = Cell {
                        plan,
                        column,
                        reader,
                        part: self.part,
                    };
                    cell.read(cursor, data, progress)
                        .map_err(|reason| plan.reject(reason, column))?;
                }
            }
            place += 1;
            if !cursor.more(b'}')? {
                return Ok(());
            }
        }
    }
}

/// One field on its way into its column.
struct Cell<'a> {
    plan: &'a Plan,
    column: usize,
    reader: &'a Reader,
    part: Part,
}

impl Cell<'_> {
    #[inline]
    fn read(&self, cursor: &mut Cursor<'_>, data: &mut Data, progress: &mut Progress) -> Step<()> {
        cursor.peek();
        let before = *cursor;
        let rows = data.len();
        let done = self.reader.read(cursor, data, &mut progress.scratch);
        let place = self.plan.key_place.get(self.column).copied().flatten();
        if place.is_none() && done.is_ok() {
            if self.part == Part::Row && is_placeholder(cursor.since(before.at())) {
                progress
                    .doubtful
                    .push((self.column, Reason::ToastPlaceholder));
            }
            return Ok(());
        }
        if let Some(place) = place {
            if before.rest().starts_with(b"null") {
                return Err(Reason::NullKey);
            }
            if let Some(span) = progress.key_spans.get_mut(place) {
                *span = before.at()..cursor.at();
            }
            return done;
        }
        let reason = done.err().unwrap_or(Reason::BadValue);
        *cursor = before;
        cursor.skip()?;
        data.truncate(rows);
        let policies = &self.plan.job.policies;
        let nullable = matches!(self.reader, Reader::Nullable(_));
        let null = nullable && policies.out_of_range == ValuePolicy::Null;
        if is_placeholder(cursor.since(before.at())) {
            progress.doubtful.push((self.column, reason));
        } else if !(null && matches!(reason, Reason::OutOfRange | Reason::PrecisionLoss)) {
            return Err(reason);
        }
        data.put_default();
        Ok(())
    }
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Reject {
        Reject {
            reason,
            column: None,
        }
    }
}

fn declared(encoding: Encoding) -> Wire {
    match encoding {
        Encoding::Plain | Encoding::ObjectId | Encoding::Text => Wire::Plain,
        Encoding::Days => Wire::Days,
        Encoding::Millis => Wire::Ticks(3),
        Encoding::Micros => Wire::Ticks(6),
        Encoding::Nanos => Wire::Ticks(9),
        Encoding::Base64 => Wire::Base64,
        Encoding::Base64Url => Wire::Base64Url,
        Encoding::Hex => Wire::Hex,
        Encoding::Unscaled => Wire::Unscaled(None),
        Encoding::Json => Wire::Json,
    }
}
