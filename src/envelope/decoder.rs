//! From a message to its fate.

use std::collections::BTreeSet;

use super::avro::Schema;
use super::drift::{self, Drift, Sources};
use super::fate::{Fate, Reason, Reject, Skip};
use super::image::{Part, Plan, Progress};
use super::key;
use super::open::{Shape, Shapes, close};
use super::rewrite::Rewrite;
use super::route;
use super::schema::Wires;
use super::skeleton::Skeleton;
use super::walk::{self, Envelope, Source, by_shape};
use crate::column::{Data, Doubt, Origin, Rows, version};
use crate::error::{Error, Kind};
use crate::job::{DeletePolicy, SilverJob, ToastPolicy, TruncatePolicy, ValuePolicy};

/// Larger messages are rejected unread: no row is that wide, and memory stays flat.
pub const LARGEST_MESSAGE: usize = 16 << 20;
/// The version keeps 48 bits of the offset.
const OFFSET_END: i64 = 1 << 48;
/// Headers of a change of key: on the delete of the old one, and on the create of the new one.
const NEW_KEY: &str = "__debezium.newkey";
const OLD_KEY: &str = "__debezium.oldkey";
/// Every change has it since Debezium 3: headers reach us.
const CONTEXT: &str = "__debezium.context.connectorName";

#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// milliseconds since 1970, as the producer or the broker set them; only for jobs that need it
    pub timestamp: Option<i64>,
    pub headers: Headers<'a>,
}

/// The value of a header, by its name; looked up only where a row depends on one, since listing them costs as much as
/// decoding.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a>(Option<&'a Find<'a>>);

type Find<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

impl<'a> Headers<'a> {
    pub const NONE: Headers<'static> = Headers(None);

    pub fn of(find: &'a Find<'a>) -> Headers<'a> {
        Headers(Some(find))
    }

    pub(super) fn find(&self, name: &str) -> Option<Vec<u8>> {
        self.0.and_then(|find| find(name))
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}

/// Decodes the messages of one job. It keeps what it learnt of their form, and nothing of their content.
#[derive(Debug)]
pub struct Decoder {
    plan: Plan,
    /// for every format but Debezium's plain JSON envelope
    rewrite: Option<Box<Rewrite>>,
    values: Shapes,
    keys: Shapes,
    progress: Progress,
    source_time: Option<i64>,
    evolution: Evolution,
    typed: u64,
    /// of the last message of a topic of several tables
    table: Vec<u8>,
}

/// What the decoder knows of its source beyond the job, for jobs whose table follows it.
#[derive(Debug, Default)]
struct Evolution {
    sources: Sources,
    /// something was learnt since it was last asked for
    learnt: bool,
    /// fields that were looked up and are what the job declares
    settled: BTreeSet<String>,
    /// of the last rejected message
    drift: Option<Box<Drift>>,
    /// columns that the last row has no field for
    absent: Vec<usize>,
}

impl Decoder {
    pub fn new(job: &SilverJob) -> Decoder {
        let plan = Plan::new(job);
        let bare = |part| Shape::new(&plan, part, &Wires::new());
        Decoder {
            rewrite: Rewrite::of(job),
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
            evolution: Evolution::default(),
            typed: 0,
            table: Vec::new(),
        }
    }

    /// What is known of the source already, from earlier runs.
    #[must_use]
    pub fn knowing(mut self, sources: Sources) -> Decoder {
        self.evolution.sources = sources;
        self
    }

    pub fn sources(&self) -> &Sources {
        &self.evolution.sources
    }

    /// Whether anything was learnt of the source since the last call.
    pub fn has_learnt(&mut self) -> bool {
        std::mem::take(&mut self.evolution.learnt)
    }

    /// The field was looked up: what it sends and cannot be read is the message's own fault.
    pub fn settle(&mut self, field: &str) {
        self.evolution.settled.insert(field.to_owned());
    }

    /// Why the message that was just rejected might become a row of another job: its source has changed.
    pub fn take_drift(&mut self) -> Option<Box<Drift>> {
        self.evolution.drift.take()
    }

    /// Columns of the row that was just made for which its message has no field.
    pub fn absent(&self) -> &[usize] {
        &self.evolution.absent
    }

    /// Values that spell a TOAST placeholder and were stored, because somebody had typed them.
    pub fn typed_placeholders(&self) -> u64 {
        self.typed
    }

    /// When the source made the last decoded change, or the connector its heartbeat: milliseconds since 1970.
    pub fn source_time(&self) -> Option<i64> {
        self.source_time
    }

    /// The schema that the message needs and nobody has told yet; without it the message is rejected.
    #[inline]
    pub fn missing_schema(&self, message: &Message<'_>) -> Option<u32> {
        self.rewrite.as_ref()?.missing_schema(message)
    }

    /// What the registry has under this id; nothing where that is no schema to decode by.
    pub fn learn_schema(&mut self, id: u32, schema: Option<Schema>) {
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.learn_schema(id, schema);
        }
    }

    /// Appends exactly one row for [`Fate::Row`], and nothing otherwise.
    pub fn decode(&mut self, message: &Message<'_>, rows: &mut Rows) -> Fate {
        self.source_time = None;
        self.evolution.drift = None;
        self.evolution.absent.clear();
        let Some(mut rewrite) = self.rewrite.take() else {
            return self.envelope(message, rows);
        };
        let fate = match rewrite.message(message) {
            Ok(rewritten) => self.envelope(&rewritten, rows),
            Err(fate) => fate,
        };
        self.rewrite = Some(rewrite);
        fate
    }

    #[inline]
    fn envelope(&mut self, message: &Message<'_>, rows: &mut Rows) -> Fate {
        match self.change(message, rows) {
            Ok(Fate::Row) => Fate::Row,
            Ok(other) => {
                rows.rollback();
                other
            }
            Err(reject) => {
                rows.rollback();
                if self.plan.job.policies.new_column.watches_source() {
                    self.note_drift(message, &reject);
                }
                Fate::Reject(reject)
            }
        }
    }

    #[cold]
    fn note_drift(&mut self, message: &Message<'_>, reject: &Reject) {
        let evolution = &mut self.evolution;
        if reject.reason != Reason::TypeChanged {
            let drift = drift::of(&self.plan, message, reject, &evolution.settled);
            evolution.drift = drift.map(Box::new);
        }
    }

    /// A schema that was not seen before is compared with what is known, before a row is read by it.
    #[cold]
    fn judge(&mut self, known: Option<usize>) -> Result<(), Reject> {
        let shape = self.values.get(known);
        let fields = shape.unjudged.take().unwrap_or_default();
        let evolution = &mut self.evolution;
        let changed = drift::judge(&self.plan, &mut evolution.sources, &fields);
        evolution.learnt = true;
        let Some(first) = changed.first() else {
            return Ok(());
        };
        let column = Some(first.field.clone());
        shape.unjudged = Some(fields);
        evolution.drift = Some(Box::new(Drift {
            changed,
            ..Drift::default()
        }));
        Err(Reject {
            reason: Reason::TypeChanged,
            column,
        })
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
        if !self.plan.job.tables.is_empty() && self.is_of_other_table(value) {
            return Ok(Fate::Skip(Skip::OtherTable));
        }
        let mut opened = self.values.open(value, &self.plan, Part::KeyOfRow)?;
        if self.values.get(opened.known).unjudged.is_some() {
            self.judge(opened.known)?;
        }
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
        let columns = (plan.job.columns.len(), plan.job.key.len());
        let start = opened.payload;
        progress.begin(columns.0, columns.1);
        let known = Skeleton::read(shape, &mut opened.payload, plan, rows, progress);
        let envelope = match known {
            Some(envelope) => envelope,
            None => {
                rows.rollback();
                opened.payload = start;
                progress.begin(columns.0, columns.1);
                let envelope = walk::envelope(&mut opened.payload, plan, shape, rows, progress)?;
                if envelope.after {
                    shape.skeleton.learn(start);
                }
                envelope
            }
        };
        close(&mut opened)?;
        self.source_time = envelope.source.ts_ms.or(envelope.ts_ms);
        match envelope.op {
            Some(b"r") => self.upsert(message, value, &envelope, rows),
            // a change of key is a delete and a create, and the create lacks what the update left alone
            Some(op @ (b"c" | b"u")) => {
                if op == b"u" && self.plan.job.key.is_empty() {
                    return Err(Reason::UnkeyedUpdate.into());
                }
                let doubt = match self.progress.doubtful.is_empty() {
                    true => None,
                    false => self.settle_placeholders(op, message, rows)?,
                };
                let fate = self.upsert(message, value, &envelope, rows)?;
                if let Some(doubt) = doubt {
                    rows.doubt(doubt);
                }
                Ok(fate)
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
        let mut columns = 0..self.plan.job.columns.len();
        if columns.any(|column| !self.progress.is_filled(column)) {
            self.settle_absent(rows)?;
        }
        let keyed = message.key.filter(|key| {
            let layout = &self.keys.bare.key;
            let same = layout.spells(&self.plan, key, value, &self.progress);
            same.is_none() && !self.plan.job.key.is_empty()
        });
        if let Some(bytes) = keyed {
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
        self.plan.fill_extras(message, rows);
        rows.commit(&self.origin(message, &envelope.source, false));
        Ok(Fate::Row)
    }

    /// The policy for columns that an update did not send; what is kept is the row's doubt.
    ///
    /// Debezium makes a change of key a delete and a create, and says on the create which key the row had: only there
    /// the text may stand for a value. Where headers arrive and that one does not, somebody has typed it.
    #[cold]
    fn settle_placeholders(
        &mut self,
        op: &[u8],
        message: &Message<'_>,
        rows: &mut Rows,
    ) -> Result<Option<Doubt>, Reject> {
        let moved_from = (op == b"c")
            .then(|| message.headers.find(OLD_KEY))
            .flatten();
        if op == b"c" && moved_from.is_none() && message.headers.find(CONTEXT).is_some() {
            let text = |doubt: &(usize, Reason)| doubt.1 == Reason::ToastPlaceholder;
            self.typed += self
                .progress
                .doubtful
                .iter()
                .filter(|doubt| text(doubt))
                .count() as u64;
            // in a column of another type it is no value
            self.progress.doubtful.retain(|doubt| !text(doubt));
            return Ok(None);
        }
        let last = rows.len();
        let mut columns = Vec::new();
        for (column, _) in std::mem::take(&mut self.progress.doubtful) {
            let declared = self.plan.job.columns.get(column);
            let nullable = declared.is_some_and(|column| column.kind.is_nullable());
            let known = op == b"u" || moved_from.is_some();
            match declared.map(|column| column.toast) {
                Some(ToastPolicy::Keep) if known => columns.push(column),
                Some(ToastPolicy::Null) if nullable => {}
                _ => return Err(self.plan.reject(Reason::ToastPlaceholder, column)),
            }
            if let Some(data) = rows.cells().get_mut(column) {
                data.truncate(last);
                data.put_default();
            }
        }
        let Some(first) = columns.first().copied() else {
            return Ok(None);
        };
        let moved_from = match moved_from {
            Some(key) => Some(
                self.old_key(&key)
                    .map_err(|_| self.plan.reject(Reason::ToastPlaceholder, first))?,
            ),
            None => None,
        };
        Ok(Some(Doubt {
            row: last,
            columns,
            moved_from,
        }))
    }

    /// The key's cells in the order of the job's key, from the header of a change of key.
    fn old_key(&mut self, header: &[u8]) -> Result<Vec<Data>, Reject> {
        let mut opened = self.keys.open(header, &self.plan, Part::Key)?;
        let columns = self.plan.job.columns.iter();
        let mut cells: Vec<Data> = columns.map(|column| Data::new(&column.kind)).collect();
        let layout = &mut self.keys.get(opened.known).key;
        let mut progress = Progress::default();
        key::fill(
            layout,
            &self.plan,
            &mut opened.payload,
            &mut cells,
            &mut progress,
        )?;
        close(&mut opened)?;
        let places = self.plan.key_columns();
        Ok(places.filter_map(|at| cells.get(at).cloned()).collect())
    }

    /// A row that moves to another key takes along what its create will not say: it stays at the deleted row.
    fn keep_for_new_key(&self, message: &Message<'_>, tombstone: bool, rows: &mut Rows) {
        if self.plan.kept.is_empty() || message.headers.find(NEW_KEY).is_none() {
            return;
        }
        let mut columns = self.plan.kept.clone();
        if tombstone {
            // whose delete this is stands in the message before
            columns.extend(rows.source_columns());
        }
        rows.doubt(Doubt {
            row: rows.len().saturating_sub(1),
            columns,
            moved_from: None,
        });
    }

    /// The job's policy for columns that the row image lacks; a column that ingest has added was not there before.
    #[cold]
    fn settle_absent(&mut self, rows: &mut Rows) -> Result<(), Reject> {
        let policy = self.plan.job.policies.missing_column;
        for (column, declared) in self.plan.job.columns.iter().enumerate() {
            if self.progress.is_filled(column) {
                continue;
            }
            let null = declared.added.is_some() || policy == ValuePolicy::Null;
            if !null || !declared.kind.is_nullable() {
                return Err(self.plan.reject(Reason::MissingColumn, column));
            }
            if let Some(data) = rows.cells().get_mut(column) {
                data.put_default();
            }
            self.evolution.absent.push(column);
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
        self.plan.fill_extras(message, rows);
        rows.commit(&self.origin(message, &envelope.source, true));
        self.keep_for_new_key(message, false, rows);
        Ok(Fate::Row)
    }

    /// A null value: a delete by key, where there is a key to delete by.
    fn tombstone(
        &mut self,
        message: &Message<'_>,
        skip: Skip,
        rows: &mut Rows,
    ) -> Result<Fate, Reject> {
        // a null value does not say of which table it is; the delete before it does
        let ignored = self.plan.job.policies.delete == DeletePolicy::Ignore
            || !self.plan.job.tables.is_empty();
        if ignored || self.plan.job.key.is_empty() || !self.fill_from_key(message, rows)? {
            return Ok(Fate::Skip(skip));
        }
        self.plan.fill_extras(message, rows);
        rows.commit(&self.origin(message, &Source::default(), true));
        self.keep_for_new_key(message, true, rows);
        Ok(Fate::Row)
    }

    #[cold]
    fn is_of_other_table(&mut self, value: &[u8]) -> bool {
        let name = &mut self.table;
        let tables = &self.plan.job.tables;
        route::table_of(value, name) && !tables.iter().any(|table| table.as_bytes() == name)
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
            size: message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len),
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
