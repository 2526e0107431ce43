//! A source table becomes the text of a silver job, with comments on what to decide.

use std::fmt::Write as _;

use super::types::{can_be_large, has_placeholder};
use super::{Identity, Mapped, SourceType, System, Table, map};
use crate::column::Type;
use crate::error::{Error, Kind, Result};
use crate::job::{Encoding, NullPolicy, SYSTEM_COLUMNS};

/// The text of `jobs/silver/<name>.toml`, ready for `bullion ingest`.
pub fn silver_job(table: &Table, topic: &str) -> Result<String> {
    check_key(table)?;
    let mut text = String::new();
    header(&mut text, table, topic);
    key(&mut text, table);
    exclude(&mut text, table);
    policies(&mut text, table);
    columns(&mut text, table);
    Ok(text)
}

// Writing to a String cannot fail, so `write!`'s results are dropped throughout.

fn header(text: &mut String, table: &Table, topic: &str) {
    let name = &table.name;
    let _ = write!(
        text,
        "# The current state of every row of {name}, kept fresh from its change events.\n\
         # Types assume {}.\n",
        match table.system {
            System::Postgres => "the connector settings that `bullion connectors apply` asks for",
            System::Mysql =>
                "time.precision.mode=microseconds, decimal.handling.mode=string, bigint.unsigned.handling.mode=precise and\n\
                 # binary.handling.mode=base64 in the connector",
        }
    );
    if table.partitioned {
        let _ = write!(
            text,
            "# {name} is partitioned: without `publish.via.partition.root` in the publication each partition has a\n\
             # topic of its own and this job sees nothing.\n"
        );
    }
    let _ = write!(
        text,
        "topic = {}\nformat = \"debezium-json\"\n",
        quoted(topic)
    );
}

fn key(text: &mut String, table: &Table) {
    let fields: Vec<String> = table.key.iter().map(|field| quoted(field)).collect();
    if table.key.is_empty() && table.system == System::Mysql {
        let _ = write!(
            text,
            "\n# {} has no primary key: rows cannot be told apart, so every insert adds a row here, and updates and deletes go to\n\
             # ops.dead_letters. Better: give it a primary key, then write this job again with --force.\n",
            table.name
        );
    } else if table.key.is_empty() {
        let _ = write!(
            text,
            "\n# {} has no primary key: rows cannot be told apart, so every change adds a row here. PostgreSQL refuses\n\
             # UPDATE and DELETE on it once it is published, unless `ALTER TABLE {} REPLICA IDENTITY FULL;`.\n\
             # Better: give it a primary key, then write this job again with --force.\n",
            table.name, table.name
        );
    } else {
        let source = match table.identity {
            Identity::Index => "the replica identity index",
            _ => "the primary key",
        };
        let _ = write!(text, "\n# {source}; the silver table is ordered by it\n");
    }
    let _ = writeln!(text, "key = [{}]", fields.join(", "));
}

fn exclude(text: &mut String, table: &Table) {
    let left_out: Vec<(&str, &str)> = table
        .columns
        .iter()
        .filter_map(|column| Some((column.name.as_str(), why_left_out(column)?)))
        .collect();
    if left_out.is_empty() {
        return;
    }
    text.push_str("\n# columns of the source that have no place in silver\nexclude = [\n");
    for (name, why) in left_out {
        let _ = writeln!(text, "    {}, # {why}", quoted(name));
    }
    text.push_str("]\n");
}

fn why_left_out(column: &super::Column) -> Option<&'static str> {
    if column.generated {
        return Some("generated: the snapshot has it, changes do not; compute it in gold");
    }
    match map(&column.kind, column.nullable) {
        Mapped::LeftOut(why) => Some(why),
        Mapped::To { .. } => None,
    }
}

fn policies(text: &mut String, table: &Table) {
    let toasted: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| column.toastable && can_be_large(&column.kind))
        .filter(|column| why_left_out(column).is_none())
        .map(|column| column.name.as_str())
        .collect();
    text.push_str("\n[policy]\ndelete = \"delete\" # or \"ignore\": deleted rows stay\n");
    text.push_str("truncate = \"reject\" # or \"ignore\", or \"fail\": stop the job\n");
    if !toasted.is_empty() && table.identity != Identity::Full {
        let _ = write!(
            text,
            "# Large values are stored out of line (TOAST): an UPDATE that leaves one alone does not send it, and the change\n\
             # is rejected to ops.dead_letters rather than stored with a hole. It can happen to\n\
             #   {}\n\
             # and the cure, in the source, is\n\
             #   ALTER TABLE {} REPLICA IDENTITY FULL;\n\
             # or here `toast = \"keep\"`: the value that the row had, looked up in silver.\n",
            toasted.join(", "),
            table.name
        );
    }
    text.push_str("toast = \"reject\" # or \"keep\", or \"null\" where the column is Nullable\n");
    text.push_str("out_of_range = \"reject\" # or \"null\": infinity, years past 2299\n");
    text.push_str("new_column = \"reject\" # or \"ignore\", \"stop\", \"add\": columns added to the source later\n");
}

fn columns(text: &mut String, table: &Table) {
    text.push_str("\n# source field = ClickHouse type; `name` renames\n");
    let is_nullable_array =
        |column: &super::Column| column.nullable && matches!(column.kind, SourceType::Array(_));
    if table.columns.iter().any(is_nullable_array) {
        text.push_str(
            "# An Array cannot be NULL. `null = \"empty\"` makes NULL and {} the same, the empty array; without it a row whose\n\
             # array is NULL is rejected. To keep the two apart:\n\
             #   field = { type = \"Nullable(String)\", from = \"json\" }\n",
        );
        if table.identity != Identity::Full {
            text.push_str(
                "# Arrays without it here: set it after REPLICA IDENTITY FULL, else a large array that an UPDATE left alone is emptied.\n",
            );
        }
    }
    text.push_str("[columns]\n");
    for column in &table.columns {
        if column.generated {
            continue;
        }
        // a key column is never NULL, whatever the catalog thinks of a replica identity index
        let certain = table.identity == Identity::Full || has_placeholder(&column.kind);
        let nullable = column.nullable && !table.key.contains(&column.name) && certain;
        let Mapped::To {
            kind,
            encoding,
            note,
        } = map(&column.kind, nullable)
        else {
            continue;
        };
        let null = match is_nullable_array(column) && certain {
            true => NullPolicy::Empty,
            false => NullPolicy::Reject,
        };
        let declared = declaration(&column.name, &kind, encoding, null);
        let _ = write!(
            text,
            "{} = {declared} # {}",
            bare(&column.name),
            column.spelled
        );
        if let Some(note) = note {
            let _ = write!(text, "; {note}");
        }
        if column.nullable && !certain {
            text.push_str("; NULL is rejected: Debezium also sends it for a large value that an UPDATE left alone");
        }
        text.push('\n');
    }
}

fn declaration(name: &str, kind: &Type, encoding: Encoding, null: NullPolicy) -> String {
    let kind = quoted(&kind.to_string());
    let taken = SYSTEM_COLUMNS.iter().any(|(system, _)| *system == name);
    let rename = taken.then(|| format!(", name = {}", quoted(&format!("source{name}"))));
    let from = (encoding != Encoding::Plain).then(|| format!(", from = \"{}\"", encoding.as_str()));
    let null = (null == NullPolicy::Empty).then(|| ", null = \"empty\"".to_owned());
    let more: String = [rename, from, null].into_iter().flatten().collect();
    match more.is_empty() {
        true => kind,
        false => format!("{{ type = {kind}{more} }}"),
    }
}

/// A key that no row can be found by again: better told now than by `bullion check`.
fn check_key(table: &Table) -> Result<()> {
    for column in table
        .columns
        .iter()
        .filter(|column| table.key.contains(&column.name))
    {
        let unusable = match map(&column.kind, false) {
            Mapped::To { kind, .. } => {
                matches!(kind, Type::Float32 | Type::Float64 | Type::Array(_))
            }
            Mapped::LeftOut(_) => true,
        };
        if unusable || column.generated {
            let message = format!(
                "{}: key column {} is a {}, which cannot identify a row in silver",
                table.name, column.name, column.spelled
            );
            return Err(Error::new(Kind::Mismatch, message).advise(
                "choose another unique index in the source: `ALTER TABLE … REPLICA IDENTITY USING INDEX …;`",
            ));
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A TOML key, quoted only where it must be.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

#[cfg(test)]
mod tests;
