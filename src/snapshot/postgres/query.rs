//! The questions: all rows by key in ClickHouse's order, those of a part, and the rows of some keys.

use super::super::Reading;
use super::super::reading::Asked;
use crate::column::Key;

/// Quotes an identifier for PostgreSQL.
pub(in crate::snapshot) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Reading {
    /// Every row, or those of some of the table's pages, by key in ClickHouse's order.
    pub(in crate::snapshot) fn copy(&self, percent: Option<u8>) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.expression.as_str())
            .collect();
        let order: Vec<&str> = self
            .key_parts
            .iter()
            .flat_map(|part| part.order.iter().map(String::as_str))
            .collect();
        let sample = percent.map_or_else(String::new, |percent| {
            format!(" TABLESAMPLE SYSTEM ({percent})")
        });
        format!(
            "COPY (SELECT {} FROM {}{sample} ORDER BY {}) TO STDOUT",
            cells.join(", "),
            self.table,
            order.join(", ")
        )
    }

    /// The rows of a part, in any order.
    pub(in crate::snapshot) fn copy_part(&self, condition: &str) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.expression.as_str())
            .collect();
        format!(
            "COPY (SELECT {} FROM {} WHERE {condition}) TO STDOUT",
            cells.join(", "),
            self.table
        )
    }

    /// The table with its alias.
    pub(in crate::snapshot) fn table(&self) -> &str {
        &self.table
    }

    /// The rows of some keys, each value as the text that COPY writes; the parameters are an array of texts a key column.
    pub(in crate::snapshot) fn lookup(&self) -> String {
        let cells: Vec<String> = self
            .cells
            .iter()
            .map(|cell| {
                let value = &cell.expression;
                // `::text` would cut the padding of char(n) and the length of inet
                format!("CASE WHEN {value} IS NOT NULL THEN format('%s', {value}) END")
            })
            .collect();
        let parameters: Vec<String> = (1..=self.key_parts.len())
            .map(|at| format!("${at}::text[]"))
            .collect();
        let names: Vec<String> = (0..self.key_parts.len())
            .map(|at| format!("k{at}"))
            .collect();
        let joined: Vec<String> = self
            .key_parts
            .iter()
            .enumerate()
            .map(|(at, part)| format!("{} = wanted.k{at}::{}", part.column, part.spelled))
            .collect();
        format!(
            "SELECT {} FROM {} JOIN unnest({}) AS wanted({}) ON {}",
            cells.join(", "),
            self.table,
            parameters.join(", "),
            names.join(", "),
            joined.join(" AND ")
        )
    }

    /// The lookup's parameters: for each key column the texts of all keys.
    pub(in crate::snapshot) fn parameters(&self, keys: &[Key]) -> Vec<Vec<String>> {
        let mut columns = vec![Vec::with_capacity(keys.len()); self.key_parts.len()];
        for key in keys {
            let texts = self.key.texts(key);
            for (((column, text), part), bytes) in columns
                .iter_mut()
                .zip(texts)
                .zip(&self.key_parts)
                .zip(&key.0)
            {
                column.push(match part.asked_by {
                    Asked::Bytes => bytes
                        .iter()
                        .fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
                    Asked::Text | Asked::Number => text,
                });
            }
        }
        columns
    }
}
