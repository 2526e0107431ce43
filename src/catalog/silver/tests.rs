use super::*;
use crate::catalog::{Column, SourceType, TableName};

fn column(name: &str, kind: &str, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        kind: SourceType::Scalar {
            name: kind.to_owned(),
            modifier: -1,
            is_enum: false,
        },
        spelled: kind.to_owned(),
        nullable,
        generated: false,
        toastable: kind == "text",
    }
}

fn orders() -> Table {
    Table {
        name: TableName::parse("public.orders"),
        system: System::Postgres,
        partitioned: false,
        identity: Identity::Default,
        columns: vec![
            column("id", "int8", false),
            column("note", "text", true),
            column("placed at", "timestamp", false),
            column("_version", "int4", false),
            column("position", "pg_lsn", true),
            column("outline", "polygon", true),
            Column {
                kind: SourceType::Array(Box::new(column("", "float8", true).kind)),
                ..column("weights", "float8[]", true)
            },
            Column {
                kind: SourceType::Array(Box::new(column("", "text", true).kind)),
                ..column("tags", "text[]", true)
            },
        ],
        key: vec!["id".to_owned()],
    }
}

#[test]
fn a_table_becomes_a_job_that_says_what_to_decide() {
    let text = silver_job(&orders(), "shop.public.orders").unwrap();
    for expected in [
        "topic = \"shop.public.orders\"",
        "key = [\"id\"]",
        "\"position\", # Debezium leaves columns of this type out",
        "id = \"Int64\" # int8",
        "note = \"Nullable(String)\" # text",
        "\"placed at\" = { type = \"DateTime64(6, 'UTC')\", from = \"micros\" } # timestamp",
        "_version = { type = \"Int32\", name = \"source_version\" } # int4",
        "tags = { type = \"Array(Nullable(String))\", null = \"empty\" } # text[]",
        "weights = \"Array(Nullable(Float64))\" # float8[]; NULL is rejected",
        "outline = { type = \"String\", from = \"json\" } # polygon; NULL is rejected",
        "set it after REPLICA IDENTITY FULL",
        "makes NULL and {} the same",
        "ALTER TABLE public.orders REPLICA IDENTITY FULL;",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");
}

#[test]
fn full_images_leave_no_doubt_about_a_null() {
    let mut table = orders();
    table.identity = Identity::Full;
    let text = silver_job(&table, "t").unwrap();
    for expected in [
        "weights = { type = \"Array(Nullable(Float64))\", null = \"empty\" } # float8[]\n",
        "outline = { type = \"Nullable(String)\", from = \"json\" } # polygon\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn a_table_without_a_key_is_warned_about() {
    let mut table = orders();
    table.key.clear();
    let text = silver_job(&table, "t").unwrap();
    assert!(text.contains("key = []"));
    assert!(text.contains("PostgreSQL refuses\n# UPDATE and DELETE"));
}

#[test]
fn a_key_that_silver_cannot_hold_is_refused_at_once() {
    let mut table = orders();
    table.columns[0] = column("id", "float8", false);
    let error = silver_job(&table, "t").unwrap_err();
    assert_eq!(
        error.message(),
        "public.orders: key column id is a float8, which cannot identify a row in silver"
    );
}
