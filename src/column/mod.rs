//! Typed values in columns: what a batch is made of and how ClickHouse is sent it.

mod types;

pub use types::Type;
