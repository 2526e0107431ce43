//! Messages of other formats, rewritten into Debezium's plain JSON envelope, so that there is one decoder of rows.
//!
//! ```text
//! flattened row    ─┬▶ {"after":{…},"before":null,"source":{…},"op":"u"} ─▶ Decoder
//! MongoDB document ─┘
//! ```

use super::decoder::Message;
use super::fate::Fate;
use super::flattened::Flattened;
use super::mongodb::Mongodb;
use crate::job::{Shape, SilverJob};

/// The rewriting that a job's format needs; its buffers serve every message.
#[derive(Debug)]
pub(super) enum Rewrite {
    Flattened(Flattened),
    Mongodb(Mongodb),
}

impl Rewrite {
    /// Nothing for the format that the decoder reads as it is.
    pub(super) fn of(job: &SilverJob) -> Option<Box<Rewrite>> {
        match job.format.shape {
            Shape::Flattened => Some(Box::new(Rewrite::Flattened(Flattened::new(job)))),
            Shape::Mongodb => Some(Box::new(Rewrite::Mongodb(Mongodb::new(job)))),
            Shape::Envelope => None,
        }
    }

    /// The message that the decoder reads instead. What this format does not explain is left as it is, and the decoder
    /// says what is wrong with it.
    pub(super) fn message<'a>(&'a mut self, message: &Message<'a>) -> Result<Message<'a>, Fate> {
        match self {
            Rewrite::Flattened(flattened) => flattened.message(message),
            Rewrite::Mongodb(mongodb) => mongodb.message(message),
        }
    }
}
