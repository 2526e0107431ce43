//! Types that widen where that is exact, and keys, which never change by themselves.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn types_widen_where_that_is_exact_and_stop_the_job_where_it_is_not() {
    let columns = "n = \"Int32\"\nf = \"Float32\"\nd = { type = \"Decimal(4, 2)\", from = \"unscaled\" }\nt = { type = \"DateTime64(3, 'UTC')\", from = \"millis\" }";
    let followed = Followed::new("evolve_widen", 1, ADD, columns).await;
    let float = r#""type":"float","optional":false"#;
    let double = r#""type":"double","optional":false"#;
    let decimal = |digits: u8| {
        format!(
            r#""type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"2","connect.decimal.precision":"{digits}"}}"#
        )
    };
    let millis = r#""type":"int64","optional":false,"name":"io.debezium.time.Timestamp""#;
    let micros = r#""type":"int64","optional":false,"name":"io.debezium.time.MicroTimestamp""#;
    let narrow = decimal(4);
    let wide = decimal(10);
    followed.send(
        0,
        1,
        &[
            ("n", INT32, "1"),
            ("f", float, "0.5"),
            ("d", &narrow, "\"Jw8=\""),
            ("t", millis, "1500"),
        ],
    );
    followed.catch_up().exits(0);
    // 3000000000, 0.1 as a double, 300 as 30000 unscaled, microseconds, NULL
    let optional = r#""type":"int64","optional":true"#;
    followed.send(
        0,
        2,
        &[
            ("n", optional, "null"),
            ("f", double, "0.1"),
            ("d", &wide, "\"dTA=\""),
            ("t", micros, "1500001"),
        ],
    );
    followed.send(
        0,
        3,
        &[
            ("n", optional, "3000000000"),
            ("f", double, "1e300"),
            ("d", &wide, "\"dTA=\""),
            ("t", micros, "2"),
        ],
    );
    let ended = followed.catch_up().exits(0);
    assert_eq!(ended.json()["jobs"]["notes"]["columns"]["n"], "widened");
    assert_eq!(
        followed.columns().await,
        [
            "id\tInt64",
            "n\tNullable(Int64)",
            "f\tFloat64",
            "d\tDecimal(10, 2)",
            "t\tDateTime64(6, \\'UTC\\')"
        ]
    );
    let rows = [
        "1\t1\t0.5\t99.99\t1970-01-01 00:00:01.500000",
        "2\t\\N\t0.1\t300\t1970-01-01 00:00:01.500001",
        "3\t3000000000\t1e300\t300\t1970-01-01 00:00:00.000002",
    ];
    assert_eq!(followed.rows("id, n, f, d, t").await, rows);
    // the narrow declaration of the file is accepted, and what to write is said
    let told = followed.project.succeed(&["migrate"]).text();
    assert!(told.contains("column n was widened by ingest"), "{told}");
    // a message of the narrow schema still lands
    followed.send(
        0,
        4,
        &[
            ("n", INT32, "4"),
            ("f", float, "0.5"),
            ("d", &narrow, "\"Jw8=\""),
            ("t", millis, "1"),
        ],
    );
    followed.catch_up().exits(0);

    let text = r#""type":"string","optional":true"#;
    followed.send(
        0,
        5,
        &[
            ("n", text, "\"5\""),
            ("f", double, "1"),
            ("d", &wide, "\"dTA=\""),
            ("t", micros, "2"),
        ],
    );
    let ended = followed.catch_up().exits(2);
    assert!(ended.text().contains("column n was"), "{}", ended.text());
    assert!(ended.text().contains("string?"), "{}", ended.text());
    assert_eq!(followed.rows("id").await, ["1", "2", "3", "4"]);
    assert!(followed.dead_letters().await.is_empty());
    // and again at the next start, though the first message it sees is of the new type
    followed.catch_up().exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_columns_never_change_by_themselves() {
    let followed = Followed::new("evolve_key", 1, ADD, "").await;
    followed.declare(ADD, "");
    followed.send(0, 1, &[]);
    followed.catch_up().exits(0);
    let value = payload(&[("id", "", "2"), ("region", "", "\"north\"")]);
    let key = r#"{"id":2,"region":"north"}"#;
    followed.topic.send(0, Some(key), Some(value.as_bytes()));
    let ended = followed.catch_up().exits(2);
    assert!(
        ended
            .text()
            .contains("is (id, region) now, and the job's is (id)"),
        "{}",
        ended.text()
    );
    assert_eq!(followed.rows("id").await, ["1"]);
}
