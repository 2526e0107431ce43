//! The embedded engine's HTTP interface, byte by byte: statuses, headers, refusals, compressed blocks.

use secrecy::ExposeSecret as _;

use crate::support::embedded_engine::engine;
use crate::support::http;

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_servers_status_and_code() {
    let engine = engine().await;
    for (url, sql, status, code) in [
        ("/", "SELECT 1", 200, ""),
        ("/", "SELEC 1", 400, "62"),
        ("/", "garbage", 400, "62"),
        ("/", "", 400, "62"),
        ("/", "SELECT 1; SELECT 2", 400, "62"),
        ("/", "SELECT 1; garbage", 400, "62"),
        ("/", "SELECT * FROM nowhere", 404, "60"),
        ("/?database=nowhere", "SELECT 1", 404, "81"),
        ("/?no_such_setting=1", "SELECT 1", 404, "115"),
        ("/?a%3D1,max_threads=2", "SELECT 1", 404, "115"),
        ("/", "SELECT throwIf(1)", 500, "395"),
        ("/", "SELECT {a:UInt8}", 500, "456"),
        ("/?user=nobody", "SELECT 1", 200, ""),
        ("/elsewhere", "SELECT 1", 404, ""),
    ] {
        let answer = engine.post(url, sql).await;
        let found = (answer.status, answer.header("x-clickhouse-exception-code"));
        assert_eq!(found, (status, code), "{url} {sql}: {}", answer.text());
        if !code.is_empty() {
            let front = format!("Code: {code}. DB::Exception: ");
            assert!(answer.text().starts_with(&front), "{}", answer.text());
            assert!(answer.text().ends_with("(libchdb))\n"), "{}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_several_statements_is_run() {
    let engine = engine().await;
    let create = "CREATE TABLE kept (n UInt8) ENGINE = Memory";
    assert_eq!(engine.post("/", create).await.status, 200);
    for text in [
        "DROP TABLE kept; SELECT 1",
        "DROP TABLE kept; garbage",
        "SELECT 1; DROP TABLE kept",
        "DROP TABLE kept PARALLEL WITH DROP TABLE kept",
        "INSERT INTO kept VALUES (1); DROP TABLE kept",
    ] {
        assert_ne!(engine.post("/", text).await.status, 200, "{text}");
    }
    let drop_by_get = "/?query=DROP+TABLE+kept";
    let answer = engine.send(reqwest::Method::GET, drop_by_get, "").await;
    assert_eq!(answer.header("x-clickhouse-exception-code"), "164");
    assert_eq!(engine.count("SELECT count() FROM kept").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused() {
    let engine = engine().await;
    let url = format!("{}/?query=SELECT+1", engine.child.url);
    let password = engine.child.password.expose_secret();
    for (request, status) in [
        (http().get(&url), 403),
        (http().get(&url).basic_auth("default", Some("wrong")), 403),
        (http().get(&url).basic_auth("other", Some(password)), 403),
        (http().get(&url).basic_auth("default", Some(password)), 200),
        (
            http().get(format!("{url}&user=default&password={password}")),
            200,
        ),
        (http().get(format!("{}/ping", engine.child.url)), 200),
    ] {
        let response = request.send().await.unwrap();
        let code = response.headers().get("x-clickhouse-exception-code");
        assert_eq!(code.is_some_and(|code| code == "516"), status == 403);
        assert_eq!(response.status().as_u16(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_it_cost_and_what_it_is() {
    let engine = engine().await;
    let create = "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n";
    assert_eq!(engine.post("/", create).await.status, 200);
    let written = engine
        .post(
            "/?query=INSERT+INTO+t+FORMAT+JSONEachRow&query_id=mine",
            "{\"n\":1}\n{\"n\":2}\n",
        )
        .await;
    assert_eq!(written.header("x-clickhouse-query-id"), "mine");
    let figures: serde_json::Value =
        serde_json::from_str(written.header("x-clickhouse-summary")).unwrap();
    assert_eq!(figures["written_rows"], "2");
    let read = engine
        .post(
            "/?default_format=JSONCompactEachRow",
            "SELECT sum(n) FROM t",
        )
        .await;
    assert_eq!(read.header("x-clickhouse-format"), "JSONCompactEachRow");
    assert!(!read.header("x-clickhouse-server-display-name").is_empty());
    let figures: serde_json::Value =
        serde_json::from_str(read.header("x-clickhouse-summary")).unwrap();
    assert_eq!(
        (&figures["read_rows"], &figures["result_rows"]),
        (&"2".into(), &"1".into())
    );
    assert_eq!(read.text().trim(), "[3]");
    let selected = engine
        .post("/", "INSERT INTO t SELECT number FROM numbers(5)")
        .await;
    let figures: serde_json::Value =
        serde_json::from_str(selected.header("x-clickhouse-summary")).unwrap();
    assert_eq!(figures["written_rows"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_both_ways() {
    let engine = engine().await;
    let create = "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n";
    assert_eq!(engine.post("/", create).await.status, 200);
    let packed = engine
        .post(
            "/?compress=1",
            "SELECT number AS n FROM numbers(500000) FORMAT Native",
        )
        .await;
    assert!(packed.body.len() < 3_500_000, "{} bytes", packed.body.len());
    let url = "/?decompress=1&query=INSERT+INTO+t+FORMAT+Native";
    let taken = engine.post(url, packed.body.clone()).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(engine.count("SELECT sum(n) FROM t").await, 124_999_750_000);
    let mut damaged = packed.body;
    damaged[100_000] ^= 1;
    let refused = engine.post(url, damaged).await;
    assert_eq!(refused.header("x-clickhouse-exception-code"), "40");
}
