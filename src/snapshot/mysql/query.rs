//! The questions: all rows by key in ClickHouse's order, and the rows of some keys.

use mysql_async::{Params, Value};

use super::super::Reading;
use super::super::reading::Asked;
use crate::column::Key;

impl Reading {
    /// Every row, or each by such a chance: MySQL has no way to read some pages.
    pub(super) fn select(&self, percent: Option<u8>) -> String {
        let chance = percent.map_or_else(String::new, |percent| {
            format!(" WHERE RAND() * 100 < {percent}")
        });
        let order = self.key_parts.iter().flat_map(|part| part.order.iter());
        let order: Vec<&str> = order.map(String::as_str).collect();
        format!("{}{chance} ORDER BY {}", self.from(), order.join(", "))
    }

    /// The rows whose keys equal these by the columns' own collations.
    pub(super) fn select_keys(&self, keys: &[Key]) -> (String, Params) {
        let columns: Vec<&str> = self
            .key_parts
            .iter()
            .map(|part| part.column.as_str())
            .collect();
        let marks = format!("({})", vec!["?"; columns.len()].join(", "));
        let sql = format!(
            "{} WHERE ({}) IN ({})",
            self.from(),
            columns.join(", "),
            vec![marks.as_str(); keys.len()].join(", ")
        );
        let mut parameters = Vec::with_capacity(keys.len() * columns.len());
        for key in keys {
            let texts = self.key.texts(key).into_iter();
            for ((text, part), bytes) in texts.zip(&self.key_parts).zip(&key.0) {
                parameters.push(match part.asked_by {
                    Asked::Bytes => Value::Bytes(bytes.to_vec()),
                    Asked::Text => Value::Bytes(text.into_bytes()),
                    Asked::Number => number(text),
                });
            }
        }
        (sql, Params::Positional(parameters))
    }

    fn from(&self) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.expression.as_str())
            .collect();
        format!("SELECT {} FROM {}", cells.join(", "), self.table)
    }
}

/// A whole number as one: MySQL compares a number with a text as floating point. An instant without its zone, which is
/// the session's.
fn number(text: String) -> Value {
    let signed = text.parse().map(Value::Int);
    let unsigned = || text.parse().map(Value::UInt);
    signed
        .or_else(|_| unsigned())
        .unwrap_or_else(|_| match text.as_str() {
            "true" => Value::Int(1),
            "false" => Value::Int(0),
            text => Value::Bytes(text.trim_end_matches('Z').as_bytes().to_vec()),
        })
}
