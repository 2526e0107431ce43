//! The numbered, forward-only files of `clickhouse/`, each run once.

use super::Change;
use crate::error::Result;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// `clickhouse/NNN_name.sql`, in order; a file that has shipped is never edited, a new one is added.
const FILES: [(u32, &str, &str); 11] = [
    (1, "ops", include_str!("../../clickhouse/001_ops.sql")),
    (2, "gold", include_str!("../../clickhouse/002_gold.sql")),
    (
        3,
        "dead_letter_marks",
        include_str!("../../clickhouse/003_dead_letter_marks.sql"),
    ),
    (
        4,
        "columns",
        include_str!("../../clickhouse/004_columns.sql"),
    ),
    (
        5,
        "touches",
        include_str!("../../clickhouse/005_touches.sql"),
    ),
    (
        6,
        "backfills",
        include_str!("../../clickhouse/006_backfills.sql"),
    ),
    (
        7,
        "run_windows",
        include_str!("../../clickhouse/007_run_windows.sql"),
    ),
    (
        8,
        "audit_failures",
        include_str!("../../clickhouse/008_audit_failures.sql"),
    ),
    (
        9,
        "left_over",
        include_str!("../../clickhouse/009_left_over.sql"),
    ),
    (
        10,
        "epoch_starts",
        include_str!("../../clickhouse/010_epoch_starts.sql"),
    ),
    (
        11,
        "told_by",
        include_str!("../../clickhouse/011_told_by.sql"),
    ),
];

pub(super) async fn plan(clickhouse: &ClickHouse, ops: &str) -> Result<Vec<Change>> {
    let applied = applied(clickhouse, ops).await?;
    let mut changes = Vec::new();
    for (number, name, text) in FILES {
        if applied.contains(&number) {
            continue;
        }
        for statement in statements(text) {
            changes.push(Change {
                what: what(number, name, &statement),
                sql: filled(clickhouse, ops, &statement),
            });
        }
        changes.push(Change {
            what: format!("record migration {number:03}_{name}"),
            sql: format!(
                "INSERT INTO {}.migrations (number, name) VALUES ({number}, {})",
                quote(ops),
                literal(name)
            ),
        });
    }
    Ok(changes)
}

async fn applied(clickhouse: &ClickHouse, ops: &str) -> Result<Vec<u32>> {
    let sql = format!(
        "SELECT count() FROM system.tables WHERE database = {} AND name = 'migrations'",
        literal(ops)
    );
    let exists: u64 = clickhouse.one(&sql).await?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT DISTINCT number FROM {}.migrations", quote(ops));
    clickhouse.all(&sql).await
}

/// Statements end with `;` at the end of a line; comment lines are left out.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let code = code.join("\n");
    let parts = code
        .split(";\n")
        .map(|part| part.trim().trim_end_matches(';'));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn filled(clickhouse: &ClickHouse, ops: &str, statement: &str) -> String {
    let replicated = if clickhouse.is_replicated() {
        "Replicated"
    } else {
        ""
    };
    statement
        .replace("{ops}", &quote(ops))
        .replace("{on_cluster}", &clickhouse.on_cluster())
        .replace("{replicated}", replicated)
}

fn what(number: u32, name: &str, statement: &str) -> String {
    let first = statement.lines().next().unwrap_or_default();
    let first = first.replace("{ops}", "ops").replace("{on_cluster}", "");
    let first = first.replace(" IF NOT EXISTS", "").to_lowercase();
    format!("{first} ({number:03}_{name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_numbered_without_gaps_and_only_create() {
        for (index, (number, _, text)) in FILES.into_iter().enumerate() {
            assert_eq!(number as usize, index + 1);
            for statement in statements(text) {
                assert!(statement.starts_with("CREATE ") || statement.starts_with("ALTER "));
                assert!(statement.contains("{on_cluster}"), "{statement}");
            }
        }
    }
}
