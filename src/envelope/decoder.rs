//! From a message to its fate.

use super::fate::{Fate, Reason, Reject, Skip};
use super::image::{Layout, Part, Plan, Progress};
use super::json::{Cursor, Step};
use super::key;
use super::schema::{self, Wires};
use crate::column::{Origin, Rows, version};
use crate::error::{Error, Kind};
use crate::job::{DeletePolicy, SilverJob, TruncatePolicy, ValuePolicy};

/// Larger messages are rejected unread: no row is that wide, and memory stays flat.
pub const LARGEST_MESSAGE: usize = 16 << 20;
/// The version keeps 48 bits of the offset.
const OFFSET_END: i64 = 1 << 48;
/// Embedded schemas kept at a time: one in steady state, two while a schema change is rolled out.
const SCHEMAS_KEPT: usize = 4;

#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// Decodes the messages of one job. It keeps what it learnt of their form, and nothing of their content.
#[derive(Debug)]
pub struct Decoder {
    plan: Plan,
    values: Shapes,
    keys: Shapes,
    progress: Progress,
    source_time: Option<i64>,
}

/// The layouts for messages without an embedded schema, and for each schema seen lately.
#[derive(Debug)]
struct Shapes {
    bare: Shape,
    /// by the message's bytes up to the end of the schema; the latest first
    known: Vec<(Vec<u8>, Shape)>,
}

#[derive(Clone, Debug)]
struct Shape {
    row: Layout,
    key: Layout,
}

/// The envelope's own fields, and where its images stand.
#[derive(Debug, Default)]
struct Envelope<'a> {
    op: Option<&'a [u8]>,
    before: Option<Cursor<'a>>,
    after: bool,
    source: Source,
    ts_ms: Option<i64>,
    /// names that tell the kinds of message without `op` apart
    status: bool,
    ddl: bool,
    others: bool,
    seen: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    lsn: Option<i64>,
    tx_id: Option<i64>,
    ts_ms: Option<i64>,
}

/// Which shape a message has, and a cursor at its payload.
struct Opened<'a> {
    known: Option<usize>,
    payload: Cursor<'a>,
    wrapped: bool,
}

impl Decoder {
    pub fn new(job: &SilverJob) -> Decoder {
        let plan = Plan::new(job);
        let bare = |part| Shape::new(&plan, part, &Wires::new());
        Decoder {
            values: Shapes {
                bare: bare(Part::KeyOfRow),
                known: Vec::new(),
            },
            keys: Shapes {
                bare: bare(Part::Key),
                known: Vec::new(),
            },
            plan,
            progress: Progress::default(),
            source_time: None,
        }
    }

    /// When the source made the last decoded change, or the connector its heartbeat: milliseconds since 1970.
    pub fn source_time(&self) -> Option<i64> {
        self.source_time
    }

    /// Appends exactly one row for [`Fate::Row`], and nothing otherwise.
    pub fn decode(&mut self, message: &Message<'_>, rows: &mut Rows) -> Fate {
        self.source_time = None;
        match self.change(message, rows) {
            Ok(Fate::Row) => Fate::Row,
            Ok(other) => {
                rows.rollback();
                other
            }
            Err(reject) => {
                rows.rollback();
                Fate::Reject(reject)
            }
        }
    }

    fn change(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Fate, Reject> {
        if !(0..OFFSET_END).contains(&message.offset) {
            return Err(Reason::BadOffset.into());
        }
        let Some(value) = message.value else {
            return self.tombstone(message, Skip::Tombstone, rows);
        };
        match value {
            [] => return Err(Reason::EmptyValue.into()),
            [0, _, _, _, _, ..] => return Err(Reason::WrongEncoding.into()),
            _ if value.len() > LARGEST_MESSAGE => return Err(Reason::TooLarge.into()),
            _ => {}
        }
        let mut opened = self.values.open(value, &self.plan, Part::KeyOfRow)?;
        if opened.payload.null()? {
            close(&mut opened)?;
            return self.tombstone(message, Skip::NullValue, rows);
        }
        let Decoder {
            plan,
            values,
            progress,
            ..
        } = self;
        let shape = values.get(opened.known);
        progress.begin(plan.job.columns.len(), plan.job.key.len());
        let envelope = envelope(&mut opened.payload, plan, shape, rows, progress)?;
        close(&mut opened)?;
        self.source_time = envelope.source.ts_ms.or(envelope.ts_ms);
        match envelope.op {
            Some(b"c" | b"r") => self.upsert(message, value, &envelope, rows),
            Some(b"u") => {
                if self.plan.job.key.is_empty() {
                    return Err(Reason::UnkeyedUpdate.into());
                }
                self.settle_placeholders(rows)?;
                self.progress.doubtful.clear();
                self.upsert(message, value, &envelope, rows)
            }
            Some(b"d") => self.delete(message, &envelope, opened.known, rows),
            Some(b"t") => self.truncate(message),
            Some(b"m") => Ok(Fate::Skip(Skip::LogicalMessage)),
            Some(_) => Err(Reason::UnknownOp.into()),
            None => by_shape(&envelope),
        }
    }

    fn upsert(
        &mut self,
        message: &Message<'_>,
        value: &[u8],
        envelope: &Envelope<'_>,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        if !envelope.after {
            return Err(Reason::MissingImage.into());
        }
        // a placeholder in a column of another type, in a change that cannot have one
        let wrong = |doubt: &&(usize, Reason)| doubt.1 != Reason::ToastPlaceholder;
        if let Some((column, reason)) = self.progress.doubtful.iter().find(wrong) {
            return Err(self.plan.reject(*reason, *column));
        }
        let columns = 0..self.plan.job.columns.len();
        if let Some(missing) = columns
            .into_iter()
            .find(|column| !self.progress.is_filled(*column))
        {
            return Err(self.plan.reject(Reason::MissingColumn, missing));
        }
        if let (Some(bytes), false) = (message.key, self.plan.job.key.is_empty()) {
            let mut opened = self
                .keys
                .open(bytes, &self.plan, Part::Key)
                .map_err(as_key)?;
            if !opened.payload.null().map_err(as_key)? {
                if opened.payload.peek() != Some(b'{') {
                    return Err(Reason::BadKey.into());
                }
                let layout = &mut self.keys.get(opened.known).key;
                key::agrees(
                    layout,
                    &self.plan,
                    &mut opened.payload,
                    value,
                    &mut self.progress,
                )
                .map_err(as_key)?;
            }
            close(&mut opened).map_err(as_key)?;
        }
        rows.commit(&self.origin(message, &envelope.source, false));
        Ok(Fate::Row)
    }

    /// The job's policy for columns that an update did not send.
    fn settle_placeholders(&mut self, rows: &mut Rows) -> Result<(), Reject> {
        let last = rows.len();
        for (column, _) in &self.progress.doubtful {
            let declared = self.plan.job.columns.get(*column);
            let nullable = declared.is_some_and(|column| column.kind.is_nullable());
            if !nullable || self.plan.job.policies.toast == ValuePolicy::Reject {
                return Err(self.plan.reject(Reason::ToastPlaceholder, *column));
            }
            if let Some(data) = rows.cells().get_mut(*column) {
                data.truncate(last);
                data.put_default();
            }
        }
        Ok(())
    }

    fn delete(
        &mut self,
        message: &Message<'_>,
        envelope: &Envelope<'_>,
        known: Option<usize>,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        if self.plan.job.policies.delete == DeletePolicy::Ignore {
            return Ok(Fate::Skip(Skip::DeleteIgnored));
        }
        if self.plan.job.key.is_empty() {
            return Err(Reason::UnkeyedDelete.into());
        }
        rows.rollback();
        if !self.fill_from_key(message, rows)? {
            let Some(mut before) = envelope.before else {
                return Err(Reason::UnkeyedDelete.into());
            };
            let layout = &mut self.values.get(known).key;
            key::fill(
                layout,
                &self.plan,
                &mut before,
                rows.cells(),
                &mut self.progress,
            )?;
        }
        rows.commit(&self.origin(message, &envelope.source, true));
        Ok(Fate::Row)
    }

    /// A null value: a delete by key, where there is a key to delete by.
    fn tombstone(
        &mut self,
        message: &Message<'_>,
        skip: Skip,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        let ignored = self.plan.job.policies.delete == DeletePolicy::Ignore;
        if ignored || self.plan.job.key.is_empty() || !self.fill_from_key(message, rows)? {
            return Ok(Fate::Skip(skip));
        }
        rows.commit(&self.origin(message, &Source::default(), true));
        Ok(Fate::Row)
    }

    /// Whether the message has a key; its fields are then in their columns.
    fn fill_from_key(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<bool, Reject> {
        let Some(bytes) = message.key else {
            return Ok(false);
        };
        let mut opened = self
            .keys
            .open(bytes, &self.plan, Part::Key)
            .map_err(as_key)?;
        let null = opened.payload.null().map_err(as_key)?;
        if !null {
            if opened.payload.peek() != Some(b'{') {
                return Err(Reason::BadKey.into());
            }
            let layout = &mut self.keys.get(opened.known).key;
            key::fill(
                layout,
                &self.plan,
                &mut opened.payload,
                rows.cells(),
                &mut self.progress,
            )
            .map_err(as_key)?;
        }
        close(&mut opened).map_err(as_key)?;
        Ok(!null)
    }

    fn truncate(&self, message: &Message<'_>) -> Result<Fate, Reject> {
        match self.plan.job.policies.truncate {
            TruncatePolicy::Reject => Err(Reason::Truncate.into()),
            TruncatePolicy::Ignore => Ok(Fate::Skip(Skip::Truncate)),
            TruncatePolicy::Fail => Ok(Fate::Fail(
                Error::new(
                    Kind::Mismatch,
                    format!(
                        "job {}: the source table was truncated: topic {}, partition {}, offset {}",
                        self.plan.job.name, message.topic, message.partition, message.offset
                    ),
                )
                .advise("empty the silver table by a new snapshot, or set `truncate = \"ignore\"` to go on"),
            )),
        }
    }

    fn origin(&self, message: &Message<'_>, source: &Source, deleted: bool) -> Origin {
        Origin {
            partition: message.partition,
            version: version(self.plan.job.epoch, message.offset),
            deleted,
            lsn: source.lsn,
            tx_id: source.tx_id,
            source_time: source.ts_ms,
        }
    }
}

/// Faults of the key's own text are one reason; faults of its values keep theirs.
fn as_key(reject: impl Into<Reject>) -> Reject {
    let mut reject = reject.into();
    if let Reason::BadJson | Reason::BadUtf8 | Reason::WrongEncoding | Reason::TooDeep =
        reject.reason
    {
        reject.reason = Reason::BadKey;
    }
    reject
}

impl Shape {
    fn new(plan: &Plan, key: Part, wires: &Wires) -> Shape {
        Shape {
            row: Layout::new(plan, Part::Row, wires),
            key: Layout::new(plan, key, wires),
        }
    }
}

impl Shapes {
    fn get(&mut self, known: Option<usize>) -> &mut Shape {
        match known.and_then(|at| self.known.get_mut(at)) {
            Some((_, shape)) => shape,
            None => &mut self.bare,
        }
    }

    /// Finds the payload: the value itself, or what stands beside an embedded schema.
    fn open<'a>(&mut self, bytes: &'a [u8], plan: &Plan, part: Part) -> Step<Opened<'a>> {
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
            match cursor.key()?.raw {
                b"schema" => return self.wrapped(cursor, bytes, plan, part),
                b"payload" => {
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
        let wires = schema::wires(cursor.since(start))?;
        self.known.truncate(SCHEMAS_KEPT - 1);
        // an empty prefix would match every message: keep such a schema for this message only
        self.known.retain(|(prefix, _)| !prefix.is_empty());
        self.known
            .insert(0, (prefix, Shape::new(plan, part, &wires)));
        Ok(Some(0))
    }
}

fn is_utf8(bytes: &[u8]) -> Step<()> {
    simdutf8::basic::from_utf8(bytes)
        .map(drop)
        .map_err(|_| Reason::BadUtf8)
}

/// Reads to the end of the message, which must be there.
fn close(opened: &mut Opened<'_>) -> Step<()> {
    let cursor = &mut opened.payload;
    if opened.wrapped {
        while cursor.more(b'}')? {
            cursor.key()?;
            cursor.skip()?;
        }
    }
    cursor.end()
}

fn envelope<'a>(
    cursor: &mut Cursor<'a>,
    plan: &Plan,
    shape: &mut Shape,
    rows: &mut Rows,
    progress: &mut Progress,
) -> Result<Envelope<'a>, Reject> {
    let mut envelope = Envelope::default();
    if !cursor.eat(b'{') {
        // a whole JSON value of another kind is another format; anything else is no JSON
        cursor.skip()?;
        return Err(Reason::WrongEncoding.into());
    }
    if cursor.eat(b'}') {
        return Ok(envelope);
    }
    loop {
        let key = cursor.key()?.raw;
        match key {
            b"before" => {
                envelope.once(1)?;
                if !cursor.null()? {
                    envelope.before = Some(*cursor);
                    cursor.skip()?;
                }
            }
            b"after" => {
                envelope.once(2)?;
                if !cursor.null()? {
                    shape.row.read(plan, cursor, rows.cells(), progress)?;
                    envelope.after = true;
                }
            }
            b"source" => {
                envelope.once(4)?;
                envelope.source = source(cursor)?;
            }
            b"op" => {
                envelope.once(8)?;
                let op = cursor.string().map_err(|reason| match reason {
                    Reason::BadValue => Reason::UnknownOp,
                    other => other,
                })?;
                envelope.op = Some(op.raw);
            }
            b"ts_ms" => envelope.ts_ms = lenient_integer(cursor)?,
            other => {
                match other {
                    b"status" => envelope.status = true,
                    b"ddl" | b"tableChanges" => envelope.ddl = true,
                    b"ts_us" | b"ts_ns" => {}
                    _ => envelope.others = true,
                }
                cursor.skip()?;
            }
        }
        if !cursor.more(b'}')? {
            return Ok(envelope);
        }
    }
}

impl Envelope<'_> {
    fn once(&mut self, field: u8) -> Step<()> {
        let first = self.seen & field == 0;
        self.seen |= field;
        if first {
            Ok(())
        } else {
            Err(Reason::DuplicateField)
        }
    }
}

/// The diagnostic columns; what is odd in them is NULL, since nothing rests on them.
fn source(cursor: &mut Cursor<'_>) -> Step<Source> {
    let mut source = Source::default();
    if !cursor.eat(b'{') {
        cursor.skip()?;
        return Ok(source);
    }
    if cursor.eat(b'}') {
        return Ok(source);
    }
    loop {
        match cursor.key()?.raw {
            b"lsn" => source.lsn = lenient_integer(cursor)?,
            b"txId" => source.tx_id = lenient_integer(cursor)?,
            b"ts_ms" => source.ts_ms = lenient_integer(cursor)?.filter(|time| is_instant(*time)),
            _ => cursor.skip()?,
        }
        if !cursor.more(b'}')? {
            return Ok(source);
        }
    }
}

/// DateTime64 ends with the year 2299 and begins with 1900.
fn is_instant(millis: i64) -> bool {
    const FIRST: i64 = -2_208_988_800_000;
    const END: i64 = 10_413_792_000_000;
    (FIRST..END).contains(&millis)
}

fn lenient_integer(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
    cursor.peek();
    let start = cursor.at();
    cursor.skip()?;
    let text = std::str::from_utf8(cursor.since(start)).ok();
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Messages without `op` that Debezium writes beside changes.
fn by_shape(envelope: &Envelope<'_>) -> Result<Fate, Reject> {
    let skip = match envelope {
        Envelope { after: true, .. }
        | Envelope {
            before: Some(_), ..
        } => return Err(Reason::UnknownOp.into()),
        Envelope { ddl: true, .. } => Skip::SchemaChange,
        Envelope { status: true, .. } => Skip::Transaction,
        Envelope {
            others: false,
            seen: 0,
            ts_ms: Some(_),
            ..
        } => Skip::Heartbeat,
        _ => return Err(Reason::UnknownOp.into()),
    };
    Ok(Fate::Skip(skip))
}
