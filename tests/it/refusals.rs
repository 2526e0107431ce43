//! What a server says of a value is in no message: values are for who asks for rows.

use crate::gold::{SQL, daily};

#[tokio::test]
async fn a_value_that_a_select_cannot_cast_is_in_no_message_and_in_no_table_of_runs() {
    let project = daily().await;
    project
        .sql("INSERT INTO events VALUES ('2024-03-05 12:00:00', 'secret-7', 1)")
        .await;
    let casts = "sum(if(startsWith(kind, 'sec'), toInt64(kind), amount)) AS total";
    project.write(
        "jobs/gold/daily.sql",
        &SQL.replace("sum(amount) AS total", casts),
    );
    for output in ["text", "json"] {
        let run = format!("gold --date 2024-03-05 --output {output}");
        let refused = project.run(&run).await.exits(1).text();
        assert!(!refused.contains("secret"), "{refused}");
        for told in ["… as Int64", "toInt64(", "CANNOT_PARSE_TEXT"] {
            assert!(refused.contains(told), "{refused}");
        }
    }
    let kept = project.ask("SELECT * FROM ops.runs").await
        + &project.ask("SELECT * FROM ops.windows").await;
    assert!(
        kept.contains("failed") && !kept.contains("secret"),
        "{kept}"
    );

    let mut sql = project.command("sql");
    sql.arg("SELECT toInt64(kind) FROM events WHERE kind LIKE 'sec%'");
    let shown = crate::support::program::Ran::of(sql).await.exits(1).stderr;
    assert!(shown.contains("secret-7"), "{shown}");
}
