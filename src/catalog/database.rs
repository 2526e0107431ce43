//! A source database, whichever system it is of.

use super::{MysqlSource, Source, System, Table, TableName};
use crate::config::Config;
use crate::error::Result;

pub enum Database {
    Postgres(Source),
    Mysql(MysqlSource),
}

impl Database {
    /// The one that `postgres.url` or `mysql.url` names.
    pub async fn connect(config: &Config, system: System) -> Result<Database> {
        Ok(match system {
            System::Postgres => Database::Postgres(Source::connect(&config.postgres).await?),
            System::Mysql => Database::Mysql(MysqlSource::connect(&config.mysql).await?),
        })
    }

    pub async fn table(&mut self, name: &TableName) -> Result<Table> {
        match self {
            Database::Postgres(source) => source.table(name).await,
            Database::Mysql(source) => source.table(name).await,
        }
    }
}
