//! Columns of messages ↔ Parquet.

#[cfg(feature = "archive")]
mod built;
#[cfg(not(feature = "archive"))]
mod left_out;

#[cfg(feature = "archive")]
pub use built::{File, Rows};
#[cfg(not(feature = "archive"))]
pub use left_out::{File, Rows};
