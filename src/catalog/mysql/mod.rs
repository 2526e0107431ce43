//! Looking at a source MySQL or MariaDB.

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
pub(super) use types::map;
