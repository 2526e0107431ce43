//! Looking at a source MySQL or MariaDB.

#[cfg(feature = "mysql")]
mod binlog;
#[cfg(feature = "mysql")]
mod connect;
#[cfg(not(feature = "mysql"))]
mod left_out;
#[cfg(feature = "mysql")]
mod table;
mod types;

#[cfg(feature = "mysql")]
pub use connect::MysqlSource;
#[cfg(not(feature = "mysql"))]
pub use left_out::MysqlSource;
pub use types::MysqlType;

/// What a server writes into its binary log.
#[derive(Clone, Debug)]
pub struct BinaryLog {
    /// of MariaDB, else of MySQL
    pub is_mariadb: bool,
    pub is_on: bool,
    /// `ROW`, `STATEMENT` or `MIXED`
    pub format: String,
    /// `FULL`, or which columns are left out
    pub row_image: String,
}

pub(super) use types::map;
