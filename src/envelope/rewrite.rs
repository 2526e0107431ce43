//! Messages of other formats, rewritten into Debezium's plain JSON envelope, so that there is one decoder of rows.
//!
//! ```text
//! Avro ─▶ JSON ─┬───────────────────┬▶ {"after":{…},"before":null,"source":{…},"op":"u"} ─▶ Decoder
//!               ├ flattened row    ─┤
//!               └ MongoDB document ─┘
//! ```

use super::avro::{Avro, Schema};
use super::fate::Fate;
use super::flattened::Flattened;
use super::message::Message;
use super::mongodb::Mongodb;
use crate::job::{Shape, SilverJob, Wire};

/// The rewriting that a job's format needs; its buffers serve every message.
#[derive(Debug)]
pub(super) struct Rewrite {
    wire: Option<Avro>,
    shape: Shaped,
}

#[derive(Debug)]
enum Shaped {
    Envelope,
    Flattened(Flattened),
    Mongodb(Mongodb),
}

impl Rewrite {
    /// Nothing for the format that the decoder reads as it is.
    pub(super) fn of(job: &SilverJob) -> Option<Box<Rewrite>> {
        let wire = match job.format.wire {
            Wire::Json => None,
            Wire::Avro => Some(Avro::default()),
        };
        let shape = match job.format.shape {
            Shape::Envelope if wire.is_none() => return None,
            Shape::Envelope => Shaped::Envelope,
            Shape::Flattened => Shaped::Flattened(Flattened::new(job)),
            Shape::Mongodb => Shaped::Mongodb(Mongodb::new(job)),
        };
        Some(Box::new(Rewrite { wire, shape }))
    }

    /// The message that the decoder reads instead. What this format does not explain is left as it is, and the decoder
    /// says what is wrong with it.
    pub(super) fn message<'a>(&'a mut self, message: &Message<'a>) -> Result<Message<'a>, Fate> {
        let message = match &mut self.wire {
            None => *message,
            Some(avro) => avro.message(message)?,
        };
        match &mut self.shape {
            Shaped::Envelope => Ok(message),
            Shaped::Flattened(flattened) => flattened.message(&message),
            Shaped::Mongodb(mongodb) => mongodb.message(&message),
        }
    }

    pub(super) fn missing_schema(&self, message: &Message<'_>) -> Option<u32> {
        self.wire.as_ref()?.missing(message)
    }

    pub(super) fn learn_schema(&mut self, id: u32, schema: Option<Schema>) {
        if let Some(avro) = &mut self.wire {
            avro.learn(id, schema);
        }
    }
}
