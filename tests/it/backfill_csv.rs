//! Silver filled from a CSV file: what wins, what becomes of bad lines, killed, and the gold that lacks it.

use serde_json::{Value, json};

use crate::support::EmbeddedProject;
use crate::support::stream::Stream;

fn backfill(stream: &Stream, more: &[&str]) -> Value {
    let mut arguments = vec![
        "backfill",
        "notes",
        "--source",
        "csv",
        "--file",
        "notes.csv",
    ];
    arguments.extend(more);
    arguments.push("--output=json");
    stream.project.succeed(&arguments).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_loses_to_every_change_and_is_written_over_known_rows_only_where_asked() {
    let stream = Stream::new("backfill_csv", 2).await;
    stream.topic.insert(0..10);
    stream.topic.change('d', 3, "x");
    stream.topic.flush();
    stream.ends("done");
    let mut text = "\u{feff}note,id\r\n".to_owned();
    for id in 0..20 {
        text.push_str(&format!("\"file, \"\"{id}\"\"\",{id}\r\n"));
    }
    text.push_str(",20\n\"\",21\nagain,15\n");
    stream.project.write("notes.csv", &text);
    let filled = backfill(&stream, &["--chunk", "4"]);
    assert_eq!(
        [
            &filled["chunks"],
            &filled["read"],
            &filled["written"],
            &filled["newer"]
        ],
        [&json!(6), &json!(23), &json!(12), &json!(11)],
        "{filled}"
    );
    let row = |id: i64, note: &str| format!("{id}\t{note}");
    let line = |id: i64| row(id, &format!("file, \"{id}\""));
    let known = (0..10).filter(|id| *id != 3).map(|id| row(id, "x"));
    let ends = [row(20, "\\N"), row(21, "")];
    let expected: Vec<String> = known
        .chain((10..20).map(line))
        .chain(ends.clone())
        .collect();
    assert_eq!(stream.rows().await, expected);
    // the same again changes nothing, and what Kafka says of such a row wins, a later partition's first change too
    assert_eq!(backfill(&stream, &[])["written"], 0);
    stream.topic.change('u', 12, "told");
    stream.topic.change('d', 13, "x");
    stream.topic.flush();
    stream.ends("done");
    let mut expected = expected;
    expected[11] = row(12, "told");
    expected.remove(12);
    assert_eq!(stream.rows().await, expected);

    // over known rows, deleted ones too; of two lines with one key the last one counts, and the next change of Kafka wins
    assert_eq!(
        backfill(&stream, &["--overwrite", "--chunk", "4"])["read"],
        23
    );
    let mut expected: Vec<String> = (0..20).map(line).chain(ends).collect();
    expected[15] = row(15, "again");
    assert_eq!(stream.rows().await, expected);
    stream.topic.change('u', 5, "told");
    stream.topic.flush();
    stream.ends("done");
    stream.project.succeed(&["replay", "notes", "--from-start"]);
    expected[5] = row(5, "told");
    assert_eq!(stream.rows().await, expected);
}

const ORDERS: &str = r#"
topic = "shop.public.orders"
key = ["id"]
time_column = "at"
exclude = ["secret"]
[columns]
id = "UInt32"
at = { type = "DateTime64(3, 'UTC')", from = "millis" }
day = { type = "Nullable(Date)", from = "days" }
amount = { type = "Decimal(9, 2)", from = "unscaled" }
ratio = "Nullable(Float64)"
paid = "Bool"
code = "Nullable(UUID)"
tags = "Array(String)"
state = "LowCardinality(String)"
extra = "Nullable(String)"
"#;
const DAILY: &str = "grain = \"day\"\ntime_column = \"day\"\norder_by = [\"day\"]\ndepends_on = [\"silver.orders\"]\n";
const DAILY_SQL: &str = "SELECT toDate(at) AS day, count() AS orders FROM silver.orders
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')} GROUP BY day
";
const HEADER: &str = "id,at,amount,paid,tags,state,secret,day,ratio,code";

async fn orders() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project.write("jobs/silver/orders.toml", ORDERS);
    project.write("jobs/gold/daily.toml", DAILY);
    project.write("jobs/gold/daily.sql", DAILY_SQL);
    project.run("migrate").await.exits(0);
    project
}

#[tokio::test]
async fn bad_lines_are_dead_letters_and_the_gold_windows_that_lack_the_rest_are_named_and_built() {
    let project = orders().await;
    let file = "backfill orders --source csv --file orders.csv --output json";
    for (header, faults) in [
        (
            "id,at,amuont,amount,paid,id",
            vec![
                "no column `amuont`, did you mean `amount`?",
                "`id` stands there twice",
                "`tags` is missing",
            ],
        ),
        ("id;at", vec!["no column `id;at`", "--delimiter"]),
    ] {
        project.write("orders.csv", &format!("{header}\n1\n"));
        let refused = project.run(file).await.exits(2);
        for fault in faults {
            assert!(
                refused.text().contains(fault),
                "{fault}: {}",
                refused.text()
            );
        }
    }
    let whole = "7,2024-03-01 12:00:00.5+00,-1.50,t,\"[\"\"a\"\",\"\"b\"\"]\",new,s,2024-03-01,0.25,9f1c2f4e-0c5a-4f0e-8d3a-000000000001";
    let bad = [
        (
            "8,2024-03-01T12:00:00Z,1.505,true,[],new,s,,,",
            "precision_loss",
            "amount",
        ),
        (
            "-8,2024-03-01T12:00:00Z,1,true,[],new,s,,,",
            "out_of_range",
            "id",
        ),
        ("9,1709251200000,1,true,[],new,s,,,", "bad_value", "at"),
        (
            "10,2024-03-01T12:00:00Z,1,yes,[],new,s,,,",
            "bad_value",
            "paid",
        ),
        (
            "11,2024-03-01T12:00:00Z,1,f,[],new,s,,,,more",
            "cell_count",
            "",
        ),
        (
            "12,2024-03-01T12:00:00Z,1,f,[],\"new\"x,s,,,",
            "bad_quotes",
            "",
        ),
        ("13,,1,f,[],new,s,,,", "null_value", "at"),
        (
            "14,2024-03-01T12:00:00Z,1,f,[],\"never closed,s,,,",
            "bad_quotes",
            "",
        ),
    ];
    let mut text = format!("{HEADER}\n{whole}\n");
    for (line, ..) in &bad {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("15,2024-03-03 23:59:59,2,f,[],old,s,,,\n");
    project.write("orders.csv", &text);
    let filled = project.run(file).await.exits(0).json();
    assert_eq!(filled["written"], 2, "{filled}");
    let rows = project
        .ask("SELECT * EXCEPT (_version, _deleted, _topic, _partition, _lsn, _tx_id, _source_time) FROM silver.orders ORDER BY id FORMAT TSV")
        .await;
    let expected = "7\t2024-03-01 12:00:00.500\t2024-03-01\t-1.5\t0.25\ttrue\t9f1c2f4e-0c5a-4f0e-8d3a-000000000001\t['a','b']\tnew\t\\N\n\
                    15\t2024-03-03 23:59:59.000\t\\N\t2\t\\N\tfalse\t\\N\t[]\told\t\\N";
    assert_eq!(rows, expected);
    let letters = project
        .ask("SELECT offset, value, reason, column FROM ops.dead_letters FINAL WHERE topic = 'csv:orders.csv' ORDER BY offset FORMAT TSVRaw")
        .await;
    let lines = bad.iter().zip(3..);
    let lines: Vec<String> = lines
        .map(|((line, reason, column), number)| format!("{number}\t{line}\t{reason}\t{column}"))
        .collect();
    assert_eq!(letters, lines.join("\n").trim_end());

    // two days have rows that no window of gold has
    let gold = &filled["gold"][0];
    assert_eq!(
        [&gold["job"], &gold["windows"]],
        [&json!("daily"), &json!(2)],
        "{filled}"
    );
    project.run("gold daily --date 2024-03-01").await.exits(0);
    project.write(
        "orders.csv",
        &format!("{HEADER}\n16,2024-03-01 00:00:00,2,f,[],old,s,,,\n"),
    );
    let built = project
        .run(&format!("{file} --then-gold"))
        .await
        .exits(0)
        .json();
    assert_eq!(built["gold"]["status"], "done", "{built}");
    let first = "SELECT orders FROM gold.daily WHERE day = '2024-03-01'";
    assert_eq!(project.ask(first).await, "2");
    let command = gold["command"]
        .as_str()
        .unwrap()
        .strip_prefix("bullion ")
        .unwrap();
    project.run(command).await.exits(0);
    assert_eq!(
        project
            .ask("SELECT day, orders FROM gold.daily ORDER BY day")
            .await,
        "2024-03-01\t2\n2024-03-03\t1"
    );
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_killed_backfill_of_a_file_goes_on_and_another_file_begins_anew() {
    let mut project = orders().await;
    let lines = |ids: std::ops::Range<u32>| -> String {
        let line = |id| format!("{id},2024-03-01 12:00:00,1,f,[],\"two\nlines\",s,,,\n");
        std::iter::once(format!("{HEADER}\n"))
            .chain(ids.map(line))
            .collect()
    };
    project.write("orders.csv", &lines(0..100));
    let command = "backfill orders --source csv --file orders.csv --chunk 30 --output json";
    project.set("BULLION_FAILPOINT", "chunk-done:2:kill");
    assert_eq!(project.run(command).await.exit, -1);
    project.set("BULLION_FAILPOINT", "chunk-written:1:kill");
    assert_eq!(project.run(command).await.exit, -1);
    assert_eq!(project.ask("SELECT count() FROM silver.orders").await, "90");
    project.set("BULLION_FAILPOINT", "");
    let rest = project.run(command).await.exits(0).json();
    assert_eq!(
        [&rest["finished_before"], &rest["read"], &rest["written"]],
        [&json!(2), &json!(40), &json!(10)]
    );
    project.write("orders.csv", &lines(50..130));
    let other = project.run(command).await.exits(0).json();
    assert_eq!(
        [&other["finished_before"], &other["read"], &other["written"]],
        [&json!(0), &json!(80), &json!(30)]
    );

    // what another command left in mid-swap is whole before anything is told of gold
    project.set("BULLION_FAILPOINT", "swap-announced:1:kill");
    assert_eq!(project.run("gold --date 2024-03-01").await.exit, -1);
    project.set("BULLION_FAILPOINT", "");
    project.write("orders.csv", &lines(200..201));
    project.run(command).await.exits(0);
    let state = "SELECT state FROM ops.windows";
    assert_eq!(project.ask(state).await, "done");
}

#[tokio::test]
async fn a_file_of_bad_lines_stops_the_backfill_however_small_its_chunks_are() {
    let project = orders().await;
    let bad = "x,2024-03-01 12:00:00,1,f,[],new,s,,,\n".repeat(1000);
    project.write("orders.csv", &format!("{HEADER}\n{bad}"));
    let command = "backfill orders --source csv --file orders.csv --chunk 400";
    let stopped = project.run(command).await.exits(1);
    assert!(
        stopped.stderr.contains("500 of the last 500 messages"),
        "{}",
        stopped.stderr
    );
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn killed_in_the_fill_after_it_or_in_gold_it_goes_on_with_what_is_left_of_both() {
    let mut project = orders().await;
    for (number, (point, finished, read, built)) in (1..).zip([
        ("chunk-done:2:kill", 2, 40, 3),
        ("chunk-done:4:kill", 4, 0, 3),
        ("silver-filled:1:kill", 4, 0, 3),
        ("staging-filled:2:kill", 4, 0, 2),
    ]) {
        // a month of its own
        let line = |id: u32| {
            let (key, day) = (number * 1000 + id, id % 3 + 1);
            format!("{key},2024-0{number}-0{day} 12:00:00,1,f,[],new,s,,,\n")
        };
        let lines: String = (0..100).map(line).collect();
        project.write("orders.csv", &format!("{HEADER}\n{lines}"));
        let command =
            "backfill orders --source csv --file orders.csv --chunk 30 --then-gold --output json";
        project.set("BULLION_FAILPOINT", point);
        assert_eq!(project.run(command).await.exit, -1, "{point}");
        project.set("BULLION_FAILPOINT", "");
        let rest = project.run(command).await.exits(0).json();
        assert_eq!(
            [
                &rest["finished_before"],
                &rest["read"],
                &rest["gold"]["built"]
            ],
            [&json!(finished), &json!(read), &json!(built)],
            "{point}: {rest}"
        );
        let days = format!(
            "SELECT toDayOfMonth(day), orders FROM gold.daily WHERE toMonth(day) = {number} ORDER BY day"
        );
        assert_eq!(project.ask(&days).await, "1\t34\n2\t33\n3\t33", "{point}");
        let known = "SELECT count(), groupUniqArray(state) FROM ops.backfills";
        assert_eq!(
            project.ask(known).await,
            format!("{number}\t['done']"),
            "{point}"
        );
    }
}

#[tokio::test]
async fn a_file_is_not_read_again_while_the_gold_that_was_asked_for_with_it_fails() {
    let project = orders().await;
    let fails = DAILY_SQL.replace("GROUP BY", "AND throwIf(1, 'no') = 0 GROUP BY");
    project.write("jobs/gold/daily.sql", &fails);
    let line = "7,2024-03-01 12:00:00,1,f,[],new,s,,,";
    project.write("orders.csv", &format!("{HEADER}\n{line}\n"));
    let command = "backfill orders --source csv --file orders.csv --then-gold";
    let failed = project.run(command).await.exits(1);
    assert!(
        failed
            .stderr
            .contains("the same command, which does not read the source again"),
        "{}",
        failed.stderr
    );
    let again = project.run(command).await.exits(1);
    assert!(
        again.stdout.contains("silver is filled, and gold is left"),
        "{}",
        again.stdout
    );
    let anew = format!("{command} --restart --output json");
    assert_eq!(project.run(&anew).await.exits(1).json()["read"], 1);
    project.write("jobs/gold/daily.sql", DAILY_SQL);
    let built = project.run(&format!("{command} --output json")).await;
    let built = built.exits(0).json();
    assert_eq!(
        [&built["read"], &built["gold"]["built"]],
        [&json!(0), &json!(1)]
    );
    // it has ended, so the same is another one
    let other = project.run(&format!("{command} --output json")).await;
    assert_eq!(other.exits(0).json()["read"], 1);

    // and so has one whose gold a person has built
    let over = format!("{command} --overwrite --output json");
    project.write("jobs/gold/daily.sql", &fails);
    project.run(&over).await.exits(1);
    project.write("jobs/gold/daily.sql", DAILY_SQL);
    project.run("gold --dirty").await.exits(0);
    let read = project.run(&over).await.exits(0).json();
    assert_eq!(read["read"], 1, "{read}");
    let states = "SELECT DISTINCT state FROM ops.backfills ORDER BY state";
    assert_eq!(project.ask(states).await, "done\nreplaced");
}
