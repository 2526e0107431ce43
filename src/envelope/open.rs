//! The form of a message: bare, or wrapped with its schema; and the layouts that each schema gives.

use super::described::SourceField;
use super::drift;
use super::fate::Reason;
use super::image::{Layout, Part};
use super::json::{Cursor, Step};
use super::plan::Plan;
use super::schema::{self, Wires};
use super::skeleton::Skeleton;

/// Embedded schemas kept at a time: one in steady state, two while a schema change is rolled out.
const SCHEMAS_KEPT: usize = 4;

/// The layouts for messages without an embedded schema, and for each schema seen lately.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) bare: Shape,
    /// by the message's bytes up to the end of the schema; the latest first
    pub(super) known: Vec<(Vec<u8>, Shape)>,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) row: Layout,
    pub(super) key: Layout,
    pub(super) time: Layout,
    pub(super) skeleton: Skeleton,
    /// fields of an embedded schema that were not yet compared with what is known of the source
    pub(super) unjudged: Option<Vec<(String, SourceField)>>,
}

/// Which shape a message has, and a cursor at its payload.
pub(super) struct Opened<'a> {
    pub(super) known: Option<usize>,
    pub(super) payload: Cursor<'a>,
    pub(super) wrapped: bool,
}

impl Shape {
    pub(super) fn new(plan: &Plan, key: Part, wires: &Wires) -> Shape {
        Shape {
            row: Layout::new(plan, Part::Row, wires),
            key: Layout::new(plan, key, wires),
            time: Layout::new(plan, Part::TimeOfRow, wires),
            skeleton: Skeleton::default(),
            unjudged: None,
        }
    }
}

impl Shapes {
    pub(super) fn get(&mut self, known: Option<usize>) -> &mut Shape {
        match known.and_then(|at| self.known.get_mut(at)) {
            Some((_, shape)) => shape,
            None => &mut self.bare,
        }
    }

    /// Finds the payload: the value itself, or what stands beside an embedded schema.
    pub(super) fn open<'a>(
        &mut self,
        bytes: &'a [u8],
        plan: &Plan,
        part: Part,
    ) -> Step<Opened<'a>> {
        let mut cursor = Cursor::new(bytes);
        if let Some(at) = self
            .known
            .iter()
            .position(|(prefix, _)| !prefix.is_empty() && bytes.starts_with(prefix))
        {
            self.known.swap(0, at);
            let prefix = self.known.first().map_or(0, |(prefix, _)| prefix.len());
            cursor.advance(prefix);
            is_utf8(cursor.rest())?;
            cursor.expect(b',')?;
            if cursor.key()?.raw != b"payload" {
                return Err(Reason::BadJson);
            }
            return Ok(Opened {
                known: Some(0),
                payload: cursor,
                wrapped: true,
            });
        }
        is_utf8(bytes)?;
        let start = cursor;
        if cursor.eat(b'{') && cursor.peek() == Some(b'"') {
            let name = cursor.key()?.raw;
            // a key column may be called so: its value is neither an object nor null
            let wraps = matches!(cursor.peek(), Some(b'{' | b'n'));
            match name {
                b"schema" if wraps => return self.wrapped(cursor, bytes, plan, part),
                b"payload" if wraps => {
                    let payload = cursor;
                    cursor.skip()?;
                    let known = match cursor.more(b'}')? {
                        false => None,
                        true if cursor.key()?.raw == b"schema" => {
                            self.embedded(&mut cursor, Vec::new(), plan, part)?
                        }
                        true => None,
                    };
                    return Ok(Opened {
                        known,
                        payload,
                        wrapped: true,
                    });
                }
                _ => {}
            }
        }
        Ok(Opened {
            known: None,
            payload: start,
            wrapped: false,
        })
    }

    #[cold]
    fn wrapped<'a>(
        &mut self,
        mut cursor: Cursor<'a>,
        bytes: &'a [u8],
        plan: &Plan,
        part: Part,
    ) -> Step<Opened<'a>> {
        let mut after = cursor;
        after.skip()?;
        let prefix = bytes.get(..after.at()).unwrap_or_default().to_vec();
        let known = self.embedded(&mut cursor, prefix, plan, part)?;
        cursor.expect(b',')?;
        if cursor.key()?.raw != b"payload" {
            return Err(Reason::BadJson);
        }
        Ok(Opened {
            known,
            payload: cursor,
            wrapped: true,
        })
    }

    /// Reads the schema at the cursor and keeps its layouts; nothing for `null`.
    fn embedded(
        &mut self,
        cursor: &mut Cursor<'_>,
        prefix: Vec<u8>,
        plan: &Plan,
        part: Part,
    ) -> Step<Option<usize>> {
        if cursor.null()? {
            return Ok(None);
        }
        cursor.peek();
        let start = cursor.at();
        cursor.skip()?;
        let schema = schema::parsed(cursor.since(start))?;
        let mut shape = Shape::new(plan, part, &schema::wires(&schema));
        if part == Part::KeyOfRow && plan.job.policies.new_column.watches_source() {
            shape.unjudged = Some(drift::fields_of(&schema));
        }
        self.known.truncate(SCHEMAS_KEPT - 1);
        // an empty prefix would match every message: keep such a schema for this message only
        self.known.retain(|(prefix, _)| !prefix.is_empty());
        self.known.insert(0, (prefix, shape));
        Ok(Some(0))
    }
}

fn is_utf8(bytes: &[u8]) -> Step<()> {
    simdutf8::basic::from_utf8(bytes)
        .map(drop)
        .map_err(|_| Reason::BadUtf8)
}

/// Reads to the end of the message, which must be there.
pub(super) fn close(opened: &mut Opened<'_>) -> Step<()> {
    let cursor = &mut opened.payload;
    if opened.wrapped {
        while cursor.more(b'}')? {
            cursor.key()?;
            cursor.skip()?;
        }
    }
    cursor.end()
}
