//! Rows of MySQL and MariaDB: one query in a transaction with a consistent snapshot, or the rows of some keys.

mod columns;
#[cfg(not(feature = "mysql"))]
mod left_out;
#[cfg(feature = "mysql")]
mod position;
#[cfg(feature = "mysql")]
mod query;
#[cfg(feature = "mysql")]
mod transaction;

pub(super) use columns::{is_bytes, order, read};
#[cfg(not(feature = "mysql"))]
pub use left_out::{Streamed, Transaction};
#[cfg(feature = "mysql")]
pub use transaction::{Streamed, Transaction};

/// Quotes an identifier for MySQL.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
