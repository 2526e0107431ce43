//! Typed values in columns: what a batch is made of and how ClickHouse is sent it.
//!
//! ```text
//! Rows (growing, in arrival order) ── finish: collapse, sort, gather ─▶ Block ── encode_native ─▶ one INSERT
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod block;
mod cell;
mod data;
mod decimal;
mod native;
mod order;
mod rows;
mod show;
mod time;
mod types;
mod wide;
mod widen;

pub use block::Block;
pub use cell::{Key, KeyColumns};
pub use rows::{Rows, version};
pub use types::Type;

pub(crate) use data::{Data, span, varint};
pub(crate) use decimal::Decimal;
pub(crate) use native::read_native;
pub(crate) use rows::{Cell, Doubt, Origin, key_bytes};
pub(crate) use time::{Clock, civil_days, clock, date, instant, power, rescale, seconds_of};

/// Why a column cannot hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// the text is no such value at all
    Malformed,
    OutOfRange,
    /// it has digits that the column would drop
    PrecisionLoss,
}
