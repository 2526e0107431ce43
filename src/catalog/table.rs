//! One source table as its catalog describes it.

use std::fmt;

use super::{Source, SourceType};
use crate::error::{Error, Kind, Result};
use crate::fault::nearest;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

/// What an UPDATE or a DELETE tells about the row that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// the primary key's columns, where there is a primary key
    Default,
    /// the columns of one unique index
    Index,
    /// all columns
    Full,
    Nothing,
}

/// Whose tables they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Postgres,
    /// MySQL and MariaDB
    Mysql,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: TableName,
    pub system: System,
    /// a partitioned parent: each partition publishes under a name of its own
    pub partitioned: bool,
    pub identity: Identity,
    pub columns: Vec<Column>,
    /// columns of the primary key, else of the replica identity index, in its order
    pub key: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: SourceType,
    /// as the source writes it, such as `numeric(10,2)`
    pub spelled: String,
    pub nullable: bool,
    /// computed by the table; a change never carries it
    pub generated: bool,
    /// stored out of line when large: an UPDATE that leaves it alone does not send it
    pub toastable: bool,
}

impl TableName {
    /// `schema.table`, or a table of `public`.
    pub fn parse(text: &str) -> TableName {
        let (schema, table) = text.split_once('.').unwrap_or(("public", text));
        TableName {
            schema: schema.trim().to_owned(),
            table: table.trim().to_owned(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

const TABLES: &str =
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1, 2";

const TABLE: &str = "SELECT c.oid, c.relkind, c.relpersistence, c.relreplident
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";

// A domain is followed down to its base type, whose modifier the innermost domain carries.
const COLUMNS: &str = "WITH RECURSIVE base AS (
        SELECT a.attnum, a.attname, a.attnotnull AS required, a.attgenerated <> '' AS generated,
            a.attstorage IN ('x', 'e') AS toastable, a.atttypid AS type, a.atttypmod AS modifier,
            format_type(a.atttypid, a.atttypmod) AS spelled, a.attndims > 1 AS nested
        FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.attnum, b.attname, b.required OR t.typnotnull, b.generated, b.toastable, t.typbasetype,
            CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END, b.spelled, b.nested
        FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
    SELECT b.attname, t.typname, e.typname AS element, coalesce(e.typtype, t.typtype) AS class, b.modifier,
        b.required, b.generated, b.toastable, b.spelled, b.nested
    FROM base b JOIN pg_type t ON t.oid = b.type LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.typtype <> 'd' ORDER BY b.attnum";

const KEY: &str = "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = $1 AND i.indexrelid = (SELECT indexrelid FROM pg_index WHERE indrelid = $1
        AND (indisprimary OR indisreplident) ORDER BY indisreplident DESC LIMIT 1)
        AND k.place <= i.indnkeyatts
    ORDER BY k.place";

impl Source {
    /// Every table that could be a source.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        let rows = self.client.query(TABLES, &[]).await;
        let rows = rows.map_err(|error| self.explain(error))?;
        Ok(rows
            .iter()
            .map(|row| TableName {
                schema: row.get(0),
                table: row.get(1),
            })
            .collect())
    }

    pub async fn table(&self, name: &TableName) -> Result<Table> {
        let found = self
            .client
            .query_opt(TABLE, &[&name.schema, &name.table])
            .await;
        let found = found.map_err(|error| self.explain(error))?;
        let Some(row) = found else {
            return Err(self.no_table(name).await?);
        };
        let oid: u32 = row.get(0);
        let partitioned = match letter(&row, 1) {
            'r' => false,
            'p' => true,
            _ => {
                let message = format!("{name} in {} is no table", self.place);
                return Err(Error::new(Kind::Mismatch, message)
                    .advise("views and foreign tables emit no changes: name the tables beneath"));
            }
        };
        if letter(&row, 2) != 'p' {
            let message = format!("{name} is unlogged or temporary: it never reaches the log");
            return Err(Error::new(Kind::Mismatch, message)
                .advise(format!("`ALTER TABLE {name} SET LOGGED;`")));
        }
        let identity = match letter(&row, 3) {
            'f' => Identity::Full,
            'i' => Identity::Index,
            'n' => Identity::Nothing,
            _ => Identity::Default,
        };
        let columns = self.client.query(COLUMNS, &[&oid]).await;
        let columns = columns.map_err(|error| self.explain(error))?;
        let key = self.client.query(KEY, &[&oid]).await;
        let key = key.map_err(|error| self.explain(error))?;
        Ok(Table {
            name: name.clone(),
            system: System::Postgres,
            partitioned,
            identity,
            columns: columns.iter().map(column).collect(),
            key: key.iter().map(|row| row.get(0)).collect(),
        })
    }

    /// The error for a table that is not there, naming the one that was probably meant.
    async fn no_table(&self, name: &TableName) -> Result<Error> {
        let tables = self.tables().await?;
        let error = Error::new(
            Kind::NotFound,
            format!("there is no table {name} in {}", self.place),
        );
        let spelled: Vec<String> = tables.iter().map(TableName::to_string).collect();
        // a table of that very name in another schema is nearer than any misspelling
        let elsewhere = tables.iter().find(|other| other.table == name.table);
        let near = elsewhere.map(TableName::to_string).or_else(|| {
            nearest(&name.to_string(), spelled.iter().map(String::as_str)).map(str::to_owned)
        });
        Ok(match near {
            Some(near) => error.advise(format!("did you mean `{near}`?")),
            None if spelled.is_empty() => {
                error.advise("this database has no tables: does postgres.url name the right one?")
            }
            None => error.advise(format!("its tables are: {}", spelled.join(", "))),
        })
    }
}

fn letter(row: &tokio_postgres::Row, at: usize) -> char {
    char::from(row.get::<_, i8>(at).cast_unsigned())
}

fn column(row: &tokio_postgres::Row) -> Column {
    let base: String = row.get("typname");
    let element: Option<String> = row.get("element");
    let modifier: i32 = row.get("modifier");
    let is_enum = letter(row, 3) == 'e';
    let array = element.is_some();
    let scalar = SourceType::Scalar {
        name: element.unwrap_or(base),
        modifier,
        is_enum,
    };
    let nest = |kind| SourceType::Array(Box::new(kind));
    Column {
        name: row.get("attname"),
        kind: match (array, row.get("nested")) {
            (true, true) => nest(nest(scalar)),
            (true, false) => nest(scalar),
            (false, _) => scalar,
        },
        spelled: row.get("spelled"),
        nullable: !row.get::<_, bool>("required"),
        generated: row.get("generated"),
        toastable: row.get("toastable"),
    }
}
