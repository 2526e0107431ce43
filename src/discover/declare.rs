//! The declaration of a table that nobody has declared: its name, and its text where the messages' schema tells enough.

use std::fmt::Write as _;

use crate::column::Type;
use crate::envelope::RowShape;
use crate::job::{Column, Encoding, NullPolicy, SYSTEM_COLUMNS, ToastPolicy, quoted};

/// Policies of a job that was made without a person: it follows its source, and takes the topic from its first message,
/// which may be older than some of the columns.
const POLICIES: &str = "\n[policy]\nnew_column = \"add\"\nmissing_column = \"null\"\n";

/// A job's name for the table: its own, with the schema in front where that is taken.
pub fn name_of(topic: &str, row: &RowShape, is_taken: impl Fn(&str) -> bool) -> Option<String> {
    let plain = |text: &str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        text.chars().map(safe).collect()
    };
    let table = match &row.table {
        Some(table) => plain(table),
        None => plain(topic.rsplit('.').next().unwrap_or(topic)),
    };
    let schema = row.schema.as_deref().map(plain).unwrap_or_default();
    let candidates = [table.clone(), format!("{schema}_{table}"), plain(topic)];
    let free = |name: &String| !name.is_empty() && !is_taken(name);
    candidates.into_iter().find(free)
}

/// The text of a job by the embedded schema; nothing where there is none, or where its key cannot be a table's.
pub fn from_schema(topic: &str, row: &RowShape) -> Option<String> {
    if row.fields.is_empty() {
        return None;
    }
    let mut columns = Vec::new();
    for (source, field) in &row.fields {
        let taken = SYSTEM_COLUMNS.iter().any(|(name, _)| name == source);
        let is_key = row.key.contains(source);
        let kind = match (is_key, field.optional) {
            (false, true) => field.kind.nullable()?,
            _ => field.kind.clone(),
        };
        if is_key && (field.nested || matches!(kind, Type::Float32 | Type::Float64)) {
            return None;
        }
        columns.push(Column {
            source: source.clone(),
            name: match taken {
                true => format!("source{source}"),
                false => source.clone(),
            },
            kind,
            encoding: field.encoding,
            null: NullPolicy::default(),
            toast: ToastPolicy::Reject,
            cast: false,
            mask: None,
            added: None,
        });
    }
    let known = |key: &String| columns.iter().any(|column| column.source == *key);
    if !row.key.iter().all(known) {
        return None;
    }
    let key: Vec<String> = row.key.iter().map(|field| quoted(field)).collect();
    let mut text = format!(
        "# Made by `bullion ingest` when the topic appeared, from the schema that its messages carry.\n\
         topic = {}\nformat = \"debezium-json\"\nkey = [{}]\n{POLICIES}\n[columns]\n",
        quoted(topic),
        key.join(", ")
    );
    for column in &columns {
        debug_assert!(column.encoding != Encoding::Json || !row.key.contains(&column.source));
        // writing to a String cannot fail
        let _ = writeln!(text, "{}", column.line());
    }
    Some(text)
}

/// The same policies in a text that was made by looking at the source database.
pub fn following(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split('=').next() {
        Some(word) if word.trim() == "new_column" => {
            "new_column = \"add\"\nmissing_column = \"null\""
        }
        _ => line,
    });
    let lines: Vec<&str> = lines.collect();
    format!(
        "# Made by `bullion ingest` when the topic appeared.\n{}\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Shape;

    fn row(key: &str) -> RowShape {
        let value = br#"{"schema":{"fields":[{"field":"after","fields":[{"field":"id","type":"int64"},{"field":"day","type":"int32","optional":true,"name":"io.debezium.time.Date"},{"field":"_version","type":"double"}]}]},"payload":{"after":{},"op":"r","source":{"schema":"public","table":"my table"}}}"#;
        match Shape::of(Some(key.as_bytes()), value) {
            Shape::Row(row) => row,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_schema_becomes_a_declaration() {
        let row = row(r#"{"id":1}"#);
        let text = from_schema("shop.public.my table", &row).unwrap();
        let expected = "topic = \"shop.public.my table\"\nformat = \"debezium-json\"\nkey = [\"id\"]\n\n[policy]\n\
            new_column = \"add\"\nmissing_column = \"null\"\n\n[columns]\nid = \"Int64\"\n\
            day = { type = \"Nullable(Date32)\", from = \"days\" }\n_version = { type = \"Float64\", name = \"source_version\" }\n";
        assert_eq!(text.split_once('\n').unwrap().1, expected);
    }

    #[test]
    fn a_key_that_no_table_can_have_is_left_to_a_person() {
        assert_eq!(from_schema("t", &row(r#"{"_version":1}"#)), None);
        assert_eq!(from_schema("t", &row(r#"{"other":1}"#)), None);
    }

    #[test]
    fn a_name_that_is_taken_gets_its_schema_in_front() {
        let row = row("{}");
        let name =
            |taken: &[&str]| name_of("shop.public.my table", &row, |name| taken.contains(&name));
        assert_eq!(name(&[]).unwrap(), "my_table");
        assert_eq!(name(&["my_table"]).unwrap(), "public_my_table");
        assert_eq!(
            name(&["my_table", "public_my_table"]).unwrap(),
            "shop_public_my_table"
        );
    }
}
