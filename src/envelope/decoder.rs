//! From a message to its fate.

mod before;
mod delete;
mod evolving;
mod unsent;

use evolving::Evolution;

use super::avro::Schema;
use super::fate::{Fate, Reason, Reject, Skip};
use super::image::Part;
use super::key;
use super::message::Message;
use super::open::{Shape, Shapes, close};
use super::plan::Plan;
use super::progress::Progress;
use super::rewrite::Rewrite;
use super::route;
use super::schema::Wires;
use super::skeleton::Skeleton;
use super::walk::{self, Envelope, Source, by_shape};
use crate::column::{Origin, Rows, version};
use crate::error::{Error, Kind};
use crate::job::{SilverJob, TruncatePolicy};

/// Larger messages are rejected unread: no row is that wide, and memory stays flat.
pub const LARGEST_MESSAGE: usize = 16 << 20;
/// The version keeps 48 bits of the offset.
const OFFSET_END: i64 = 1 << 48;

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

    /// Values that spell a TOAST placeholder and were stored, because somebody had typed them; since it was last asked.
    pub fn take_typed_placeholders(&mut self) -> u64 {
        std::mem::take(&mut self.typed)
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
                if op == b"u" {
                    self.note_before(&envelope, opened.known, rows)?;
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

    #[cold]
    fn is_of_other_table(&mut self, value: &[u8]) -> bool {
        let name = &mut self.table;
        let tables = &self.plan.job.tables;
        route::table_of(value, name) && !tables.iter().any(|table| table.as_bytes() == name)
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
                .advise("set `truncate = \"ignore\"` and start again; then `bullion resync` removes the rows that are gone from the source"),
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
