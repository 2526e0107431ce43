use super::*;

/// As ClickHouse 26.7 printed it, for a query with CTEs, a UNION, joins, subqueries, ARRAY JOIN and a window function.
const PRINTED: &str = include_str!("query.txt");

fn shown(given: &Given) -> String {
    let origin = |origin: &Origin| format!("{}.{}", origin.table, origin.column);
    let origins: Vec<String> = given.origins.iter().map(origin).collect();
    let partial = if given.is_partial { " ?" } else { "" };
    format!("{} <- {}{partial}", given.name, origins.join(", "))
}

#[test]
fn each_column_is_followed_through_subqueries_unions_and_joins_to_its_tables() {
    let tree = Tree::parse(PRINTED);
    let columns: Vec<String> = tree.columns().iter().map(shown).collect();
    assert_eq!(
        columns,
        [
            "name <- silver.customers.name",
            "total <- silver.orders.amount",
            "d1 <- silver.orders.amount",
            "top <- silver.orders.amount",
            "f <- silver.customers.id, silver.orders.customer",
            "arr <- silver.orders.id",
            "n <- ",
        ]
    );
}

#[test]
fn a_table_is_told_with_the_columns_that_filters_and_joins_use() {
    let tables = Tree::parse(PRINTED).tables();
    let tables: Vec<String> = tables
        .into_iter()
        .map(|(table, columns)| {
            format!(
                "{table}: {}",
                columns.into_iter().collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    assert_eq!(
        tables,
        [
            "silver.customers: id name",
            "silver.orders: amount customer id ordered_at"
        ]
    );
}

#[test]
fn names_and_types_with_blanks_and_commas_are_told_apart() {
    let text = "QUERY id: 0
  PROJECTION COLUMNS
    a, b Decimal(10, 2)
    max of all Nullable(DateTime64(3, 'UTC'))
  PROJECTION
    LIST id: 1, nodes: 2
      COLUMN id: 2, column_name: a, b, result_type: Decimal(10, 2), source_id: 3
      FUNCTION id: 4, function_name: max, function_type: aggregate, result_type: Nullable(DateTime64(3, 'UTC'))
        ARGUMENTS
          LIST id: 5, nodes: 1
            COLUMN id: 6, column_name: at, result_type: DateTime64(3, 'UTC'), source_id: 9
  JOIN TREE
    TABLE_FUNCTION id: 3, alias: __table1, table_function_name: numbers
";
    let columns: Vec<String> = Tree::parse(text).columns().iter().map(shown).collect();
    assert_eq!(columns, ["a, b <- numbers().a, b", "max of all <-  ?"]);
}

#[test]
fn what_is_no_tree_has_no_columns() {
    for text in [
        "",
        "QUERY id: 0",
        "nonsense\n  more",
        "UNION id: 0\n  QUERIES",
    ] {
        let tree = Tree::parse(text);
        assert!(
            tree.columns().is_empty() && tree.tables().is_empty(),
            "{text}"
        );
    }
    // one that refers to itself ends
    let text = "QUERY id: 0
  PROJECTION COLUMNS
    x UInt8
  PROJECTION
    LIST id: 1, nodes: 1
      COLUMN id: 2, column_name: x, result_type: UInt8, source_id: 0
";
    assert_eq!(shown(&Tree::parse(text).columns()[0]), "x <- ");
}
