//! `bullion types`: which ClickHouse type holds which type of the source.

use serde_json::json;

use super::{Context, Outcome, out};
use crate::catalog::{Listed, System, listing};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion types --from mysql
  bullion types --output json | jq '.types[] | select(.column == null)'")]
pub struct Args {
    /// Only the types of this source
    #[arg(long, value_enum, value_name = "SOURCE")]
    from: Option<From>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum From {
    Postgres,
    /// MySQL and MariaDB
    Mysql,
}

const SYSTEMS: [(From, System, &str); 2] = [
    (From::Postgres, System::Postgres, "postgres"),
    (From::Mysql, System::Mysql, "mysql"),
];

pub fn run(args: &Args, context: &Context) -> Outcome {
    let chosen = SYSTEMS
        .iter()
        .filter(|(word, ..)| args.from.is_none_or(|from| from == *word));
    let mut types = Vec::new();
    for (_, system, word) in chosen {
        let listed = listing(*system);
        if context.output == out::Format::Text {
            out::line(markdown(*system, &listed));
        }
        types.extend(listed.iter().map(|listed| {
            json!({"system": word, "source": listed.source, "message": listed.message,
                "column": listed.column, "from": listed.from, "note": listed.note})
        }));
    }
    Outcome::done("ok").with("types", types)
}

/// The table as `docs/types.md` holds it.
fn markdown(system: System, types: &[Listed]) -> String {
    let title = match system {
        System::Postgres => "PostgreSQL",
        System::Mysql => "MySQL and MariaDB",
    };
    let mut rows =
        vec![[title, "in the message", "ClickHouse", "`from`", "note"].map(str::to_owned)];
    rows.extend(types.iter().map(|listed| {
        let column = listed.column.as_deref().unwrap_or("left out");
        let cells = [
            listed.source,
            listed.message,
            column,
            listed.from.unwrap_or(""),
            listed.note,
        ];
        cells.map(|cell| cell.replace('|', "\\|"))
    }));
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    // the notes are long: only the columns before them line up
    let widths: [usize; 5] = std::array::from_fn(|at| if at < 4 { width(at) } else { 0 });
    let line = |cells: &[String; 5]| {
        let cells = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.map(|width| "-".repeat(width.max(4)));
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, line(&rule));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_holds_the_table_that_is_printed() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/types.md");
        let text = std::fs::read_to_string(&file).unwrap();
        for (_, system, word) in SYSTEMS {
            let table = markdown(system, &listing(system));
            assert!(
                text.contains(&table),
                "docs/types.md is not what `bullion types --from {word}` prints; write it there:\n{table}"
            );
        }
    }
}
