//! Kafka messages become rows: every message has exactly one [`Fate`], and nothing is coerced in silence.
//!
//! ```text
//! message ─▶ form (bare, wrapped, null) ─▶ op ─▶ after, or key ─▶ cells of Rows
//!              schema cached by its bytes        read where they stand, no tree in between
//! ```
//!
//! A row depends on its message and its job alone. A null value is a delete of its Kafka key at its own version: right
//! after a `d` that changes nothing, and it is all that compaction leaves of one.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod avro;
mod decoder;
mod described;
mod document;
mod drift;
mod extras;
mod fate;
mod flattened;
mod image;
mod json;
mod key;
mod masked;
mod message;
mod mongodb;
mod number;
mod open;
mod placeholder;
mod plan;
mod progress;
mod reader;
mod rewrite;
mod route;
mod scalar;
mod schema;
mod shape;
mod skeleton;
mod structured;
mod text;
mod value;
mod walk;

pub use avro::Schema;
pub use decoder::{Decoder, LARGEST_MESSAGE};
pub use described::SourceField;
pub use drift::{Changed, Drift, Field, Sources};
pub(crate) use extras::constant;
pub use fate::{Fate, Reason, Reject, Skip};
pub use message::{Headers, Message};
pub use shape::{RowShape, Shape};

#[cfg(test)]
pub(crate) mod tests;
