//! The same where nothing of MySQL was built in.

use std::convert::Infallible;

use crate::catalog::{BinaryLog, Table, TableName};
use crate::config;
use crate::error::Result;
use crate::feature::{Feature, left_out};

/// There is none.
pub struct MysqlSource {
    none: Infallible,
    pub place: String,
}

impl MysqlSource {
    #[expect(clippy::unused_async, reason = "as the one that connects")]
    pub async fn connect(_: &config::Mysql) -> Result<MysqlSource> {
        Err(left_out(Feature::Mysql))
    }

    pub fn table_name(&self, _: &str) -> Result<TableName> {
        match self.none {}
    }

    #[expect(clippy::unused_async, reason = "as the one that asks the database")]
    pub async fn binary_log(&mut self) -> Result<BinaryLog> {
        match self.none {}
    }

    #[expect(clippy::unused_async, reason = "as the one that asks the database")]
    pub async fn table(&mut self, _: &TableName) -> Result<Table> {
        match self.none {}
    }
}
