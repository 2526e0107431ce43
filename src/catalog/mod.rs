//! Looking at a source database: its tables, their keys, and whether logical replication can work.

mod connect;
mod database;
mod listing;
mod mysql;
mod replication;
mod silver;
mod table;
mod types;

pub use connect::{Source, refused};
pub use database::Database;
pub use listing::{Listed, listing};
pub use mysql::{BinaryLog, MysqlSource, MysqlType};
pub use replication::{Publication, Replication, Slot};
pub use silver::silver_job;
pub use table::{Column, Identity, System, Table, TableName};
pub use types::{Mapped, SourceType, map};
