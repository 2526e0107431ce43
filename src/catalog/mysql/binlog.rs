//! What a server writes into its binary log, which is all that a connector can read.

use mysql_async::prelude::Queryable;

use super::MysqlSource;
use crate::catalog::BinaryLog;
use crate::error::Result;

const LOG: &str =
    "SELECT version(), @@global.log_bin, @@global.binlog_format, @@global.binlog_row_image";

impl MysqlSource {
    pub async fn binary_log(&mut self) -> Result<BinaryLog> {
        let asked = self.connection.query_first(LOG).await;
        let found: Option<(String, bool, String, String)> =
            asked.map_err(|error| self.explain(error))?;
        let (version, is_on, format, row_image) = found.unwrap_or_default();
        Ok(BinaryLog {
            is_mariadb: version.contains("MariaDB"),
            is_on,
            format,
            row_image,
        })
    }
}
