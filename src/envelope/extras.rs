//! Columns that are no fields of the source: constants, and what Kafka says of the message.

use super::json::Cursor;
use super::message::Message;
use super::plan::Plan;
use super::reader::{Reader, Wire};
use super::value::Scratch;
use super::walk::is_instant;
use crate::column::{Data, Rows, Type};
use crate::job::ExtraFrom;

impl Plan {
    #[inline]
    pub(super) fn fill_extras(&self, message: &Message<'_>, rows: &mut Rows) {
        if !self.job.extras.is_empty() {
            self.fill_all(message, rows);
        }
    }

    fn fill_all(&self, message: &Message<'_>, rows: &mut Rows) {
        for (extra, data) in self.job.extras.iter().zip(rows.extras()) {
            match &extra.from {
                // of every row, wherever it comes from: see `Rows`
                ExtraFrom::Constant(_) => {}
                ExtraFrom::Timestamp => match message.timestamp.filter(|time| is_instant(*time)) {
                    Some(time) => data.put(time.to_le_bytes()),
                    None => data.put_default(),
                },
                ExtraFrom::Offset => data.put(message.offset.to_le_bytes()),
                ExtraFrom::Partition => data.put(message.partition.to_le_bytes()),
                ExtraFrom::Topic => data.put_text(message.topic.as_bytes()),
                ExtraFrom::Key => put_optional(data, message.key),
                ExtraFrom::Header(name) => {
                    put_optional(data, message.headers.find(name).as_deref());
                }
            }
        }
    }
}

fn put_optional(data: &mut Data, text: Option<&[u8]>) {
    match text {
        Some(text) => data.put_text(text),
        None => data.put_default(),
    }
}

/// One cell of this type with the value that the text spells; nothing where it is no such value.
pub(crate) fn constant(kind: &Type, text: &str) -> Option<Data> {
    let mut data = Data::new(kind);
    // JSON text of a string: always possible
    let json = serde_json::to_string(text).ok()?;
    let mut cursor = Cursor::new(json.as_bytes());
    let reader = Reader::casting(kind, &Wire::Plain);
    reader
        .read(&mut cursor, &mut data, &mut Scratch::default())
        .ok()?;
    cursor.end().ok()?;
    Some(data)
}
