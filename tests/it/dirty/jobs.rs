//! What `--missing` and `--dirty` find of jobs of other kinds: whole tables, those of an older SQL, gold over gold.

use serde_json::Value;

use super::{DAILY_SQL, DAY, FIRST, built, change, order, orders, put, rebuild, send};

#[tokio::test]
async fn a_whole_table_is_missing_until_it_is_built_and_dirty_by_any_change() {
    let stream = orders("dirty_whole", 1, "").await;
    let project = &stream.project;
    project.write(
        "jobs/gold/all.toml",
        "grain = \"table\"\norder_by = [\"orders\"]\ndepends_on = [\"silver.orders\"]\n",
    );
    let sql = format!(
        "SELECT count() AS orders, sum(amount) AS total FROM {}",
        stream.silver("orders")
    );
    project.write("jobs/gold/all.sql", &sql);
    project.succeed(&["migrate"]);
    put(&stream, "c", 1, 1);
    stream.topic.flush();
    stream.ends("done");
    let (ran, _) = rebuild(&stream, &["all", "--dirty"]).await;
    assert_eq!(ran["windows"], 0, "it was never built: {ran}");
    let (ran, _) = rebuild(&stream, &["all", "--missing"]).await;
    assert_eq!(ran["built"], 1, "{ran}");
    let (ran, _) = rebuild(&stream, &["all", "--missing", "--dirty"]).await;
    assert_eq!(ran["windows"], 0, "{ran}");
    // in no day, and in the table
    send(
        &stream,
        7,
        Some(&change("c", Value::Null, order(7, None, 5))),
    );
    stream.topic.flush();
    stream.ends("done");
    let (ran, _) = rebuild(&stream, &["all", "--dirty"]).await;
    assert_eq!(ran["built"], 1, "{ran}");
    let all = format!("SELECT * FROM {}.all", project.database("gold"));
    assert_eq!(stream.engine.rows(&all).await, ["2\t15"]);
    let (ran, _) = rebuild(&stream, &["all", "--dirty"]).await;
    assert_eq!(ran["windows"], 0, "{ran}");
}

#[tokio::test]
async fn missing_is_what_was_never_built_or_built_by_another_sql() {
    let stream = orders("dirty_missing", 1, "").await;
    built(&stream, 4).await;
    stream.project.succeed(&["gold", "--date", "2024-03-08"]);
    let (ran, days) = rebuild(&stream, &["--missing"]).await;
    assert_eq!((&ran["unchanged"], days.len()), (&3.into(), 3), "{ran}");
    assert_eq!(days, ["2024-03-05", "2024-03-06", "2024-03-07"]);
    let (ran, _) = rebuild(&stream, &["--missing", "--dirty"]).await;
    assert_eq!(ran["status"], "noop", "{ran}");
    let sql = DAILY_SQL.replace("{silver}", &stream.project.database("silver"));
    stream.project.write(
        "jobs/gold/daily.sql",
        &sql.replace("sum(amount)", "sum(amount) + 0"),
    );
    let (_, days) = rebuild(
        &stream,
        &[
            "daily",
            "--missing",
            "--from",
            "2024-03-02",
            "--to",
            "2024-03-04",
        ],
    )
    .await;
    assert_eq!(days, ["2024-03-02", "2024-03-03"]);
    let (ran, days) = rebuild(&stream, &["--missing", "--dirty"]).await;
    assert_eq!(days.len(), 6, "{ran}");
}

#[tokio::test]
async fn gold_over_gold_is_dirty_where_its_input_changed() {
    let stream = orders("dirty_graph", 1, "").await;
    let project = &stream.project;
    project.write(
        "jobs/gold/weekly.toml",
        "grain = \"week\"\ntime_column = \"week\"\norder_by = [\"week\"]\ndepends_on = [\"gold.daily\"]\n",
    );
    let sql = "SELECT toMonday(day) AS week, sum(total) AS total FROM {gold}.daily \
WHERE day >= toDate({from:DateTime64(3, 'UTC')}) AND day < toDate({to:DateTime64(3, 'UTC')}) GROUP BY week";
    project.write(
        "jobs/gold/weekly.sql",
        &sql.replace("{gold}", &project.database("gold")),
    );
    for day in 0..31 {
        put(&stream, "c", day, day);
    }
    stream.topic.flush();
    stream.ends("done");
    project.succeed(&["migrate"]);
    project.succeed(&[
        "gold",
        "daily",
        "--from",
        "2024-03-01",
        "--to",
        "2024-04-01",
    ]);
    project.succeed(&[
        "gold",
        "weekly",
        "--from",
        "2024-03-04",
        "--to",
        "2024-04-01",
    ]);
    // an update that changes no answer of daily's is none for weekly
    put(&stream, "u", 12, 12);
    stream.topic.flush();
    stream.ends("done");
    let (ran, _) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(
        (&ran["built"], &ran["unchanged"]),
        (&0.into(), &1.into()),
        "{ran}"
    );
    let moved = order(12, Some(FIRST + 20 * DAY), 77);
    send(&stream, 12, Some(&change("u", Value::Null, moved)));
    stream.topic.flush();
    stream.ends("done");
    // two days, and the two weeks that they are in
    let (ran, windows) = rebuild(&stream, &["--dirty"]).await;
    assert_eq!(ran["built"], 4, "{ran}");
    let wanted = ["2024-03-11", "2024-03-13", "2024-03-18", "2024-03-21"];
    assert_eq!(windows, wanted);
}
