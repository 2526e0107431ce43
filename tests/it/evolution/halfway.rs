//! A table that changes under two processes, or under one that dies between its steps.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_meet_the_same_field_agree() {
    let followed = Followed::new("evolve_two", 2, ADD, "n = \"Int32\"").await;
    let start = || followed.project.start(&["ingest"]);
    let mut running: Vec<Running> = vec![start(), start()];
    for round in 0..6_i64 {
        for id in 0..200_i64 {
            let id = round * 200 + id;
            let partition = i32::try_from(id % 2).unwrap();
            let n = if round > 2 {
                ("n", INT64, "5000000000")
            } else {
                ("n", INT32, "1")
            };
            let extra = format!("extra{round}");
            let mut fields = vec![n];
            if round > 0 {
                fields.push((&extra, INT64, "7"));
            }
            followed.send(partition, id, &fields);
        }
        followed.topic.flush();
        wait_for("the round to land", PATIENCE, || async {
            let count = format!("SELECT count() FROM {}_silver.notes", followed.name);
            let landed = followed.project.engine.number(&count).await;
            (landed == u64::try_from((round + 1) * 200).unwrap()).then_some(())
        })
        .await;
        assert!(
            running.iter_mut().all(Running::is_running),
            "{}",
            followed.project.log()
        );
    }
    drop(running);
    assert_eq!(followed.columns().await[1], "n\tInt64");
    let counts: Vec<String> = (1..6).map(|n| format!("countIf(extra{n} = 7)")).collect();
    let sql = format!(
        "SELECT {}, sum(n) FROM {}_silver.notes",
        counts.join(", "),
        followed.name
    );
    let expected = format!("{}{}", "200\t".repeat(5), 600 * 5_000_000_000_i64 + 600);
    assert_eq!(followed.project.engine.rows(&sql).await, [expected]);
    assert!(followed.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_alter_and_what_follows_it_is_made_good() {
    let followed = Followed::new("evolve_crash", 1, ADD, "").await;
    followed.send(0, 1, &[]);
    followed.catch_up().exits(0);
    // as a process leaves it that dies right behind its ALTER: no view, no line in ops.columns, no row, no commit
    let mark =
        r#"bullion evolved {"field":"at","from":"micros","added":true,"since":1700000000000}"#;
    let alter = format!(
        "ALTER TABLE evolve_crash_silver.notes_versions ADD COLUMN at Nullable(DateTime64(6, 'UTC')) COMMENT '{mark}'"
    );
    followed.project.engine.ask(&alter).await.unwrap();
    followed.send(0, 2, &[("at", MICROS, "7")]);
    followed.catch_up().exits(0);
    assert_eq!(followed.columns().await.len(), 2);
    assert_eq!(
        followed.rows("id, at").await,
        ["1\t\\N", "2\t1970-01-01 00:00:00.000007"]
    );
    // and the same of a widened column, whose view still has the narrow type
    followed.send(0, 3, &[("at", MICROS, "7"), ("n", INT32, "1")]);
    followed.catch_up().exits(0);
    let widen = "ALTER TABLE evolve_crash_silver.notes_versions MODIFY COLUMN n Nullable(Int64)";
    followed.project.engine.ask(widen).await.unwrap();
    followed.send(0, 4, &[("at", MICROS, "7"), ("n", INT64, "5000000000")]);
    followed.catch_up().exits(0);
    assert_eq!(followed.rows("n").await, ["\\N", "\\N", "1", "5000000000"]);
}

/// Digits that a schema calls a string: how many there are only the database says, in words that no schema has.
#[tokio::test(flavor = "multi_thread")]
async fn a_widening_that_the_database_told_is_no_other_schema_to_whoever_comes_after_a_crash() {
    let amount = "amount = \"Decimal(12, 4)\"";
    let followed = Followed::new("evolve_words", 1, ADD, amount).await;
    let digits = |id, value: &str| {
        let spelled = format!("\"{value}\"");
        followed.send(0, id, &[("amount", TEXT, &spelled)]);
    };
    digits(1, "0.25");
    followed.catch_up().exits(0);
    // as a process leaves it that dies behind its line of what it did, and before the next of what it saw
    let line = "INSERT INTO evolve_words_ops.columns VALUES ('notes', 'amount', 'widened', 'amount', 'Decimal(12, 4)',
         'plain', 'numeric(12,4)', NULL, now64(3) + 1)";
    followed.project.engine.ask(line).await.unwrap();
    digits(2, "12345678.1234");
    followed.catch_up().exits(0);
    assert_eq!(followed.rows("amount").await, ["0.25", "12345678.1234"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_after_the_alter_or_after_the_views_loses_nothing() {
    let mut followed = Followed::new("evolve_kill", 1, ADD, "").await;
    for (round, point) in ["ddl-done:1:kill", "ddl-done:2:kill"]
        .into_iter()
        .enumerate()
    {
        let field = format!("field{round}");
        let id = i64::try_from(round).unwrap() * 10;
        followed.send(0, id, &[]);
        followed.send(0, id + 1, &[(&field, MICROS, "7")]);
        followed.topic.flush();
        followed.project.set("BULLION_FAILPOINT", point);
        let mut ingest = followed.project.start(&["ingest"]);
        assert_eq!(ingest.wait(PATIENCE), 128 + 9);
        followed.project.unset("BULLION_FAILPOINT");
        followed.catch_up().exits(0);
        let found = followed.rows(&format!("id, {field}")).await;
        assert_eq!(
            found[2 * round..],
            [
                format!("{id}\t\\N"),
                format!("{}\t1970-01-01 00:00:00.000007", id + 1)
            ]
        );
        let events = followed.events().await;
        assert_eq!(
            events
                .iter()
                .filter(|event| event.starts_with(&field))
                .count(),
            1,
            "{events:?}"
        );
    }
    assert!(followed.dead_letters().await.is_empty());
}
