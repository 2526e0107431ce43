//! Looking at a source MySQL or MariaDB.

mod connect;
mod table;
mod types;

pub use connect::MysqlSource;
pub use types::MysqlType;
pub(super) use types::map;
