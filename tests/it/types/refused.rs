//! Values that silver cannot hold: each is a dead letter that names its column, and the rows around it arrive.

use crate::support::{Engine, PATIENCE, Project, Source, wait_for};

use super::{JSON, make_job};

const TABLE: &str = "
    CREATE TABLE odd (id bigint PRIMARY KEY, at timestamp, moment timestamptz, day date, amount numeric(10, 2), note text);
    ALTER TABLE odd ALTER COLUMN note SET STORAGE EXTERNAL;";

/// Column, a value that PostgreSQL takes, and the reason why silver does not.
const VALUES: [(&str, &str, &str); 15] = [
    ("at", "'21016-01-01'", "out_of_range"),
    ("at", "'infinity'", "out_of_range"),
    ("at", "'-infinity'", "out_of_range"),
    ("at", "'0044-03-15 BC'", "out_of_range"),
    ("at", "'1899-12-31 23:59:59.999999'", "out_of_range"),
    ("at", "'2300-01-01'", "out_of_range"),
    ("moment", "'21016-01-01Z'", "out_of_range"),
    ("moment", "'infinity'", "out_of_range"),
    ("moment", "'-infinity'", "out_of_range"),
    ("moment", "'0044-03-15 00:00:00Z BC'", "out_of_range"),
    ("day", "'1899-12-31'", "out_of_range"),
    ("day", "'2300-01-01'", "out_of_range"),
    ("day", "'infinity'", "out_of_range"),
    ("day", "'-infinity'", "out_of_range"),
    ("amount", "'NaN'", "out_of_range"),
];

/// The snapshot's rows have these ids; streamed ones follow.
const STREAMED: usize = 100;
/// A row whose note is stored out of line.
const WIDE: usize = 1_000;
const MOVED: usize = 1_001;

#[tokio::test(flavor = "multi_thread")]
async fn what_silver_cannot_hold_is_a_dead_letter_and_the_rest_goes_on() {
    let name = "types_refused";
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    source.run(TABLE).await;
    insert_all(&source, 0).await;
    source.publish(&["odd"], &[]).await;
    make_job(&mut project, &source, "odd", JSON);
    insert_all(&source, STREAMED).await;
    // the update says nothing of the note, and neither does the row that its change of key makes
    let wide = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n";
    source
        .run(&format!(
            "INSERT INTO odd (id, note) SELECT {WIDE}, ({wide})"
        ))
        .await;
    source
        .run(&format!("UPDATE odd SET id = {MOVED} WHERE id = {WIDE}"))
        .await;

    let mut expected: Vec<String> = vec![format!("{MOVED}\ttoast_placeholder\tnote")];
    for first in [0, STREAMED] {
        let letter = |(at, (column, _, reason)): (usize, &(&str, &str, &str))| {
            format!("{}\t{reason}\t{column}", first + 2 * at)
        };
        expected.extend(VALUES.iter().enumerate().map(letter));
    }
    expected.sort();
    let sql = format!(
        "SELECT JSONExtractInt(assumeNotNull(key), 'id'), reason, column FROM {name}_ops.dead_letters FINAL"
    );
    let letters = async || {
        // Debezium makes the topic with its first change
        project.run(&["ingest", "--until-caught-up"]);
        let mut letters = project.engine.rows(&sql).await;
        letters.sort();
        letters
    };
    wait_for("every change to arrive", PATIENCE, || async {
        (letters().await.len() >= expected.len()).then_some(())
    })
    .await;
    assert_eq!(letters().await, expected);

    let plain: Vec<String> = [0, STREAMED]
        .into_iter()
        .flat_map(|first| (0..VALUES.len()).map(move |at| first + 2 * at + 1))
        .map(|id| id.to_string())
        .collect();
    let sql = format!("SELECT id FROM {name}_silver.odd ORDER BY id");
    assert_eq!(project.engine.rows(&sql).await, plain);
}

/// A row for each value, and one after it that has none.
async fn insert_all(source: &Source, first: usize) {
    for (at, (column, value, _)) in VALUES.iter().enumerate() {
        let id = first + 2 * at;
        source
            .run(&format!(
                "INSERT INTO odd (id, {column}) VALUES ({id}, {value}); INSERT INTO odd (id) VALUES ({id} + 1)"
            ))
            .await;
    }
}
