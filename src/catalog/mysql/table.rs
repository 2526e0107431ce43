//! One source table as `information_schema` describes it.

use mysql_async::prelude::Queryable;

use super::{MysqlSource, MysqlType};
use crate::catalog::{Column, Identity, SourceType, System, Table, TableName};
use crate::error::{Error, Kind, Result};
use crate::fault::nearest;

const TABLES: &str = "SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE'
        AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
    ORDER BY 1, 2";

const COLUMNS: &str = "SELECT column_name, lower(data_type), lower(column_type), is_nullable = 'YES',
        coalesce(numeric_precision, 0), coalesce(numeric_scale, 0)
    FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";

/// Unique indexes without a column that may be NULL; the primary key first.
const KEYS: &str = "SELECT s.index_name, s.column_name
    FROM information_schema.statistics s
    WHERE s.table_schema = ? AND s.table_name = ? AND s.non_unique = 0 AND NOT EXISTS (
        SELECT 1 FROM information_schema.statistics n WHERE n.table_schema = s.table_schema
            AND n.table_name = s.table_name AND n.index_name = s.index_name AND n.nullable = 'YES')
    ORDER BY s.index_name <> 'PRIMARY', s.index_name, s.seq_in_index";

impl MysqlSource {
    /// The table `database.table`, or one of the database that the address names.
    pub fn table_name(&self, text: &str) -> Result<TableName> {
        let named = match (text.split_once('.'), &self.database) {
            (Some((database, table)), _) => Some((database.trim(), table.trim())),
            (None, Some(database)) => Some((database.as_str(), text.trim())),
            (None, None) => None,
        };
        named
            .map(|(schema, table)| TableName {
                schema: schema.to_owned(),
                table: table.to_owned(),
            })
            .ok_or_else(|| {
                let message = format!("`{text}` does not say which database the table is in");
                Error::new(Kind::Usage, message).advise("write DATABASE.TABLE")
            })
    }

    pub async fn table(&mut self, name: &TableName) -> Result<Table> {
        let place = (&name.schema, &name.table);
        let columns: Vec<(String, String, String, bool, u32, u32)> = self
            .connection
            .exec(COLUMNS, place)
            .await
            .map_err(|error| self.explain(error))?;
        if columns.is_empty() {
            return Err(self.no_table(name).await?);
        }
        let keys: Vec<(String, String)> = self
            .connection
            .exec(KEYS, place)
            .await
            .map_err(|error| self.explain(error))?;
        let key = keys
            .iter()
            .take_while(|(index, _)| Some(index) == keys.first().map(|(first, _)| first));
        Ok(Table {
            name: name.clone(),
            system: System::Mysql,
            partitioned: false,
            // a row image in the binary log is whole (binlog_row_image=FULL, which Debezium asks for)
            identity: Identity::Full,
            key: key.map(|(_, column)| column.clone()).collect(),
            columns: columns
                .into_iter()
                .map(|(name, kind, spelled, nullable, precision, scale)| Column {
                    name,
                    kind: SourceType::Mysql(MysqlType {
                        name: kind,
                        unsigned: spelled.contains("unsigned") || spelled.contains("zerofill"),
                        precision,
                        scale,
                        // labels are quoted, and commas stand between them
                        has_comma: spelled.replace("','", "").contains(','),
                    }),
                    spelled,
                    nullable,
                    generated: false,
                    toastable: false,
                })
                .collect(),
        })
    }

    /// The error for a table that is not there, naming the one that was probably meant.
    async fn no_table(&mut self, name: &TableName) -> Result<Error> {
        let tables: Vec<(String, String)> = self
            .connection
            .query(TABLES)
            .await
            .map_err(|error| self.explain(error))?;
        let spelled: Vec<String> = tables
            .iter()
            .map(|(database, table)| format!("{database}.{table}"))
            .collect();
        let message = format!("there is no table {name} in MySQL at {}", self.place);
        let error = Error::new(Kind::NotFound, message);
        Ok(
            match nearest(&name.to_string(), spelled.iter().map(String::as_str)) {
                Some(near) => error.advise(format!("did you mean `{near}`?")),
                None if spelled.is_empty() => {
                    error.advise("this user sees no tables: may it SELECT from them?")
                }
                None => error.advise(format!("the tables are: {}", spelled.join(", "))),
            },
        )
    }
}
