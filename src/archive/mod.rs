//! Raw messages beyond Kafka's retention: Parquet files in a folder or on S3, written by ingest before the offsets that
//! they cover are committed.
//!
//! ```text
//! orders/epoch=1/date=2026-11-21/00003-00000000000000001000-00000000000000002000.parquet
//! topic                          partition, first offset, first offset that is not covered
//! ```
//!
//! A message's bytes depend on its offset alone, so that files which overlap (two owners of a partition, for a moment) hold
//! the same, and the reader takes each offset once. A file is there whole or not at all. What is covered already when a
//! partition is taken over is not written again.
//!
//! | file | what it holds |
//! |---|---|
//! | `name` | names of files, and what a list of them covers |
//! | `chunk` | messages as columns, not yet encoded |
//! | `parquet` | columns ↔ Parquet |
//! | `store` | a folder, or a bucket: look, read, write whole files |
//! | `reached` | how far the archive is, for who writes on |
//! | `read` | the messages of a topic, in order, each once |

mod chunk;
mod name;
mod parquet;
mod reached;
mod read;
mod store;

pub use chunk::Chunk;
pub use name::{Covers, Name, day_of};
pub use parquet::File;
pub use reached::{Reached, reached};
pub use read::{Archived, Hole, Reader};
pub use store::Store;

use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;

/// `[archive]` of bullion.toml.
#[derive(Clone, Debug)]
pub struct Settings {
    pub place: Place,
    /// whole names of the topics that are kept; nothing: all
    pub topics: Option<Regex>,
    /// a file is ended when its first message has waited for so long
    pub roll_after: Duration,
    /// or when it has so many bytes
    pub roll_bytes: u64,
}

impl Settings {
    pub fn takes(&self, topic: &str) -> bool {
        let named = self.topics.as_ref();
        named.is_none_or(|pattern| pattern.is_match(topic))
    }
}

#[derive(Clone, Debug)]
pub enum Place {
    Folder(std::path::PathBuf),
    S3(Bucket),
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    pub prefix: String,
    /// where it is not Amazon's
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: Option<String>,
    pub secret_key: Option<SecretString>,
}
