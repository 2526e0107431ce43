//! The embedded engine's HTTP front as people's clients use it: the official crate's inserts and cursors, and curl.

use std::process::{Command, Output};

use clickhouse::{Compression, Row};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::support::embedded_engine::{EmbeddedEngine, engine};

#[derive(Row, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Order {
    id: u64,
    note: Option<String>,
    amounts: Vec<i32>,
    price: i64,
}

fn order(id: u64) -> Order {
    Order {
        id,
        note: (!id.is_multiple_of(3)).then(|| format!("it's {id}\t\0\u{1f600}")),
        amounts: vec![-1; usize::try_from(id % 4).unwrap()],
        // a Decimal(18, 2) as its hundredths
        price: 100 * i64::try_from(id).unwrap() - 1,
    }
}

const ORDERS: &str =
    "CREATE TABLE orders (id UInt64, note Nullable(String), amounts Array(Int32), price Decimal(18, 2))
ENGINE = MergeTree ORDER BY id";

/// RowBinary with names and types by the crate's typed insert and its cursor: it compares types on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_crates_insert_and_cursor_keep_every_row() {
    let engine = engine().await;
    for compression in [Compression::Lz4, Compression::None] {
        let client = engine.client().with_compression(compression);
        client
            .query("DROP TABLE IF EXISTS orders")
            .execute()
            .await
            .unwrap();
        client.query(ORDERS).execute().await.unwrap();
        let mut insert = client.insert::<Order>("orders").await.unwrap();
        for id in 0..1_000 {
            insert.write(&order(id)).await.unwrap();
        }
        insert.end().await.unwrap();
        let mut insert = client.insert::<Order>("orders").await.unwrap();
        for id in 1_000..3_000 {
            insert.write(&order(id)).await.unwrap();
        }
        insert.end().await.unwrap();
        let mut rows = client
            .query("SELECT ?fields FROM orders WHERE id >= ? ORDER BY id")
            .bind(0)
            .fetch::<Order>()
            .unwrap();
        let mut next = 0;
        while let Some(row) = rows.next().await.unwrap() {
            assert_eq!(row, order(next));
            next += 1;
        }
        assert_eq!(next, 3_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crate_hears_why_an_insert_was_refused_and_nothing_was_written() {
    let engine = engine().await;
    let client = engine.client();
    client.query(ORDERS).execute().await.unwrap();
    let send = async {
        let mut insert = client.insert::<Order>("nowhere").await?;
        insert.write(&order(1)).await?;
        insert.end().await
    };
    let error = send.await.unwrap_err().to_string();
    assert!(
        error.contains("Code: 60") && error.contains("UNKNOWN_TABLE"),
        "{error}"
    );
    let constrained = "ALTER TABLE orders ADD CONSTRAINT small CHECK id < 10";
    client.query(constrained).execute().await.unwrap();
    let send = async {
        let mut insert = client.insert::<Order>("orders").await?;
        for id in [1, 11] {
            insert.write(&order(id)).await?;
        }
        insert.end().await
    };
    let error = send.await.unwrap_err().to_string();
    assert!(error.contains("VIOLATED_CONSTRAINT"), "{error}");
    assert_eq!(engine.count("SELECT count() FROM orders").await, 0);
}

/// curl as people call it, by name and password.
fn curl(engine: &EmbeddedEngine, query: &str, arguments: &[&str]) -> Output {
    let user = format!(
        "{}:{}",
        engine.child.user,
        engine.child.password.expose_secret()
    );
    Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-u", &user])
        .args(arguments)
        .arg(format!("{}/?{query}", engine.child.url))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is written to `file` by `gzip`-like programs, or by the same libraries.
fn packed(encoding: &str, data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match encoding {
        "gzip" => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            to.write_all(data).unwrap();
            to.finish().unwrap()
        }
        "deflate" => {
            let mut to =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            to.write_all(data).unwrap();
            to.finish().unwrap()
        }
        "lz4" => {
            let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
            to.write_all(data).unwrap();
            to.finish().unwrap()
        }
        "zstd" => zstd::encode_all(data, 1).unwrap(),
        _ => data.to_vec(),
    }
}

fn unpacked(encoding: &str, data: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let read = match encoding {
        "gzip" => flate2::read::GzDecoder::new(data).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(data).read_to_end(&mut out),
        "lz4" => lz4_flex::frame::FrameDecoder::new(data).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(data)
            .unwrap()
            .read_to_end(&mut out),
        _ => unreachable!("{encoding}"),
    };
    read.unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_sends_and_gets_every_compression() {
    let engine = engine().await;
    let create = "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n";
    text(&curl(&engine, "", &["-d", create]));
    let rows: String = (0..50_000).map(|n| format!("{n}\ttext {n}\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    let insert = "query=INSERT+INTO+t+FORMAT+TSV";
    for (count, encoding) in ["gzip", "deflate", "lz4", "zstd"].into_iter().enumerate() {
        let file = folder.path().join(encoding);
        std::fs::write(&file, packed(encoding, rows.as_bytes())).unwrap();
        let (header, body) = (
            format!("Content-Encoding: {encoding}"),
            format!("@{}", file.display()),
        );
        text(&curl(
            &engine,
            insert,
            &["-H", &header, "--data-binary", &body],
        ));
        let found = engine.count("SELECT count() FROM t").await;
        assert_eq!(found, 50_000 * (count as u64 + 1), "{encoding}");
    }
    // held back whole, and streamed in pieces
    for size in [3, 400_000] {
        let query = format!("enable_http_compression=1&query=SELECT+number+FROM+numbers({size})");
        let expected: String = (0..size).map(|n| format!("{n}\n")).collect();
        for encoding in ["gzip", "deflate", "lz4", "zstd"] {
            let accept = format!("Accept-Encoding: {encoding}");
            let answer = curl(&engine, &query, &["-D", "/dev/stderr", "-H", &accept]);
            let headers = String::from_utf8_lossy(&answer.stderr).to_lowercase();
            assert!(
                headers.contains(&format!("content-encoding: {encoding}")),
                "{headers}"
            );
            assert_eq!(
                unpacked(encoding, &answer.stdout),
                expected.as_bytes(),
                "{encoding} {size}"
            );
        }
        // --compressed decodes by itself; without the setting, nothing is compressed, as on the server
        assert_eq!(text(&curl(&engine, &query, &["--compressed"])), expected);
        let plain = query.replace("enable_http_compression=1&", "");
        let answer = curl(
            &engine,
            &plain,
            &["-D", "/dev/stderr", "-H", "Accept-Encoding: gzip"],
        );
        assert_eq!(text(&answer), expected);
    }
    let unknown = curl(&engine, insert, &["-H", "Content-Encoding: br", "-d", "x"]);
    assert!(text(&unknown).contains("Unknown Content-Encoding br"));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gives_the_query_its_parameters_and_format_and_hears_of_errors_as_from_the_server() {
    let engine = engine().await;
    let parameters = "param_id=7&param_name=it%27s&database=system&default_format=JSONEachRow";
    let select = "SELECT {id:UInt8} AS id, {name:String} AS name, currentDatabase() AS database";
    let expected = "{\"id\":7,\"name\":\"it's\",\"database\":\"system\"}\n";
    assert_eq!(text(&curl(&engine, parameters, &["-d", select])), expected);
    assert_eq!(
        text(&curl(&engine, parameters, &["--data-binary", select])),
        expected
    );
    let form = curl(
        &engine,
        "",
        &["-F", "query=SELECT {a:UInt8} + 1", "-F", "param_a=1"],
    );
    assert_eq!(text(&form), "2\n");
    let format = curl(
        &engine,
        "query=SELECT+1+AS+n",
        &["-H", "X-ClickHouse-Format: CSVWithNames"],
    );
    assert_eq!(text(&format), "\"n\"\n1\n");
    let settings =
        "max_result_rows=1&result_overflow_mode=throw&query=SELECT+number+FROM+numbers(5)";
    for (query, status, code) in [
        (settings, "500", "Code: 396. DB::Exception"),
        (
            "query=SELECT+*+FROM+nowhere",
            "404",
            "Code: 60. DB::Exception",
        ),
        (
            "query=SELECT+intDiv(1,0)",
            "500",
            "Code: 153. DB::Exception",
        ),
        ("query=DROP+TABLE+x", "500", "Code: 164. DB::Exception"),
        (
            "enable_http_compression=1&query=SELEC",
            "400",
            "Code: 62. DB::Exception",
        ),
    ] {
        let said = text(&curl(
            &engine,
            query,
            &["-w", "%{http_code}", "-H", "Accept-Encoding: gzip"],
        ));
        assert!(
            said.starts_with(code) && said.ends_with(status),
            "{query}: {said}"
        );
    }
    // -f gives exit code 22 for any of them: what scripts rely on
    let failed = curl(&engine, "query=SELEC", &["-f"]);
    assert_eq!(failed.status.code(), Some(22));
}
