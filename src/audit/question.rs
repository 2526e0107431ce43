//! The SQL of each audit.

use super::Check;
use crate::document::Scalar;
use crate::quoting::{literal, quote};

/// Where an audit's SELECT names the staging table.
pub const STAGING: &str = "{staging}";

impl Check {
    /// A SELECT over a table (as SQL writes it) of which every row is a finding, with the columns that tell which row it is;
    /// none where figures are judged and not rows.
    pub fn select(&self, table: &str, order_by: &[String]) -> Option<String> {
        let rows_where =
            |condition: String| format!("SELECT {} FROM {table} WHERE {condition}", list(order_by));
        Some(match self {
            Check::NotNull(columns) => {
                let nulls: Vec<String> = columns
                    .iter()
                    .map(|column| format!("isNull({})", quote(column)))
                    .collect();
                rows_where(nulls.join(" OR "))
            }
            Check::Unique(columns) => {
                let columns = list(columns);
                format!("SELECT {columns} FROM {table} GROUP BY {columns} HAVING count() > 1")
            }
            Check::Accepted { column, values } => {
                let values: Vec<String> = values.iter().map(Scalar::sql).collect();
                rows_where(format!("{} NOT IN ({})", quote(column), values.join(", ")))
            }
            Check::Range { column, min, max } => {
                let column = quote(column);
                let end = |operator: &str, end: &Option<Scalar>| {
                    let end = end.as_ref()?;
                    Some(format!("{column} {operator} {}", end.sql()))
                };
                let ends: Vec<String> = [end(">=", min), end("<=", max)]
                    .into_iter()
                    .flatten()
                    .collect();
                // NOT, so that what compares with nothing (NaN) lies outside
                rows_where(format!("NOT ({})", ends.join(" AND ")))
            }
            Check::RowCount(_) => return None,
            Check::Sql(sql) => sql.replace(STAGING, table),
        })
    }

    /// Which columns of its SELECT tell a person which row was found.
    pub fn key_columns<'a>(&'a self, order_by: &'a [String]) -> &'a [String] {
        match self {
            Check::Unique(columns) => columns,
            Check::RowCount(_) => &[],
            _ => order_by,
        }
    }

    /// What so many findings are, in words.
    pub fn count_of(&self, found: u64) -> String {
        let (thing, after) = match self {
            Check::Unique(_) => ("key", " more than once"),
            _ => ("row", ""),
        };
        let plural = if found == 1 { "" } else { "s" };
        format!("{found} {thing}{plural}{after}")
    }
}

impl Scalar {
    fn sql(&self) -> String {
        match self {
            Scalar::Text(text) => literal(text),
            Scalar::Number(digits) => digits.clone(),
            Scalar::Boolean(value) => value.to_string(),
        }
    }
}

fn list(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    quoted.join(", ")
}
