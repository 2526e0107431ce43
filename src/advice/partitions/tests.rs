use super::*;
use crate::job::tests::load;

const SILVER: &str = r#"
topic = "orders"
time_column = "placed_at"
KEY
[columns]
id = "Int64"
shop = "String"
placed_at = "DateTime64(3, 'UTC')"
"#;
const GOLD: &str = r#"
grain = "day"
time_column = "day"
order_by = ["day"]
depends_on = ["silver.orders"]
"#;
const WINDOW: &str =
    "placed_at >= {from:DateTime64(3, 'UTC')} AND placed_at < {to:DateTime64(3, 'UTC')}";

fn told(files: &[(&str, &str)]) -> Vec<String> {
    let jobs = load(files).unwrap();
    let gold = &jobs.gold[0];
    let reads = Reads::new(gold, gold.depends_on.iter().cloned().collect());
    missing(gold, &reads, &jobs)
}

fn advised(key: &str, select: &str) -> Vec<String> {
    let sql = format!("SELECT toDate(placed_at) AS day, count() AS n {select} GROUP BY day");
    let files = [
        ("silver/orders.toml", SILVER.replace("KEY", key)),
        ("gold/orders_by_day.toml", GOLD.to_owned()),
        ("gold/orders_by_day.sql", sql),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    told(&files)
}

#[test]
fn windows_of_a_time_that_never_changes_want_partitions_of_it() {
    let whole = format!("FROM silver.orders WHERE {WINDOW}");
    for (key, wanted) in [
        (
            "key = [\"id\"]\nimmutable = [\"placed_at\"]",
            Some("`partition_by = \"day\"`, with `placed_at` in its `key`,"),
        ),
        (
            "key = [\"id\", \"placed_at\"]",
            Some("`partition_by = \"day\"` in jobs/silver/orders.toml"),
        ),
        ("key = []", Some("`partition_by = \"day\"` in")),
        (
            "key = [\"id\", \"placed_at\"]\npartition_by = \"month\"",
            None,
        ),
    ] {
        let found = advised(key, &whole);
        assert_eq!(
            found.len(),
            usize::from(wanted.is_some()),
            "{key}: {found:?}"
        );
        for (line, wanted) in found.iter().zip(wanted) {
            assert!(line.contains(wanted), "{line}");
            assert!(line.starts_with(
                "gold job orders_by_day reads windows of silver.orders by `placed_at`"
            ));
        }
    }
}

#[test]
fn a_view_of_the_window_is_a_filter_too_and_a_comment_is_none() {
    let key = "key = [\"id\", \"placed_at\"]";
    let between = "FROM silver.orders_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})";
    assert_eq!(advised(key, between).len(), 1);
    let files = [
        ("silver/orders.toml", SILVER.replace("KEY", key)),
        ("gold/orders_by_day.toml", GOLD.to_owned()),
        (
            "gold/orders_by_day.sql",
            "SELECT {from:DateTime64(3, 'UTC')} AS day, 'placed_at' AS x, count() AS n -- placed_at\nFROM silver.orders\nWHERE {to:DateTime64(3, 'UTC')} > day".to_owned(),
        ),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    assert_eq!(told(&files), [] as [String; 0]);
}

#[test]
fn windows_of_a_time_that_may_change_want_the_view_where_keys_are_serial() {
    let by_where = format!("FROM silver.orders WHERE {WINDOW}");
    let told = advised("key = [\"id\"]", &by_where);
    assert_eq!(told.len(), 1, "{told:?}");
    let view = "`FROM silver.orders_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})`";
    assert!(told[0].contains(view), "{told:?}");
    let between = "FROM silver.orders_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})";
    for (key, select) in [
        ("key = [\"id\"]", between),
        // of two columns, and of a text, nobody knows
        ("key = [\"id\", \"shop\"]", &by_where),
        ("key = [\"shop\"]", &by_where),
    ] {
        assert_eq!(advised(key, select), [] as [String; 0], "{key} {select}");
    }
}
