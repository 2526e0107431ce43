//! `bullion demo` and `bullion sql`, as a person who has just built the binary calls them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::program::{PROGRAM, Ran, without_stack};

/// Ten days of two jobs.
const DAYS: u64 = 20;

fn bullion(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    without_stack(&mut command);
    command.args(arguments).current_dir(folder);
    command
}

#[track_caller]
fn ran(command: &mut Command) -> Ran {
    Ran::from(command.output().unwrap()).exits(0)
}

#[track_caller]
fn result(command: &mut Command) -> Value {
    ran(command).json()
}

#[track_caller]
fn text(command: &mut Command) -> String {
    ran(command).stdout
}

fn step<'a>(result: &'a Value, name: &str) -> Vec<&'a str> {
    let steps = result["steps"].as_array().unwrap();
    let texts = steps.iter().map(|step| step["step"].as_str().unwrap());
    texts.filter(|text| text.starts_with(name)).collect()
}

#[test]
fn two_runs_and_one_with_kills_give_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = ["demo", "--output", "json"];

    let first = result(&mut bullion(folder, &demo));
    assert_eq!(first["epoch"], 1);
    assert_eq!(first["tables"]["silver.flights"], 8_461);
    assert_eq!(
        step(&first, "gold"),
        [format!("gold: 2 jobs, {DAYS} days built, 0 unchanged")]
    );

    let second = result(&mut bullion(folder, &demo));
    assert_eq!(second["epoch"], 2, "the mock cluster is another one");
    for same in ["answers", "checksum", "tables", "days"] {
        assert_eq!(second[same], first[same], "{same}");
    }
    assert_eq!(
        step(&second, "gold"),
        [format!("gold: 2 jobs, 0 days built, {DAYS} unchanged")]
    );

    let chaos = result(bullion(folder, &demo).arg("--chaos"));
    assert_eq!(chaos["epoch"], 4, "one replay undisturbed, one with kills");
    for same in ["answers", "checksum", "tables", "days"] {
        assert_eq!(chaos[same], first[same], "{same}");
    }
    let killed = chaos["killed"].as_array().unwrap();
    assert_eq!(killed.len(), 4);
    for (life, next) in killed.iter().zip(&killed[1..]) {
        let progress = |key: &str| (life[key].as_i64().unwrap(), next[key].as_i64().unwrap());
        let (before, after) = progress("durable");
        assert!(before <= after, "{chaos}");
        assert!(
            next["committed"].as_i64() <= next["durable"].as_i64(),
            "committed before it was durable: {chaos}"
        );
    }

    // afterwards, with no engine running
    let count = ["sql", "SELECT count() FROM silver.flights"];
    assert_eq!(text(&mut bullion(folder, &count)), "8461\n");
}

#[test]
fn a_kept_engine_answers_by_curl_and_by_sql_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kept = result(&mut bullion(
        folder,
        &["demo", "--keep", "--output", "json"],
    ));
    let password = std::fs::read_to_string(kept["password_file"].as_str().unwrap()).unwrap();
    let url = kept["url"].as_str().unwrap();

    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "-H"])
        .arg(format!("X-ClickHouse-Key: {}", password.trim()))
        .args(["-d", "SELECT sum(flights) FROM gold.flights_by_day", url]);
    assert_eq!(text(&mut curl), "8461\n");

    // sql goes to the engine that runs: a second one could not open the data
    let sql = ["sql", "SELECT count() AS n FROM gold.flights_by_day"];
    assert_eq!(text(&mut bullion(folder, &sql)), "30\n");
    let json = result(bullion(folder, &sql).args(["--output", "json"]));
    assert_eq!(json["rows"], serde_json::json!([{"n": 30}]));
    let csv = text(bullion(folder, &sql).args(["--format", "CSVWithNames"]));
    assert_eq!(csv, "\"n\"\n30\n");
    // the same, where that engine is the configured ClickHouse
    let configured = text(
        bullion(folder, &sql)
            .current_dir("/")
            .env("BULLION_CLICKHOUSE_URL", url)
            .env("BULLION_CLICKHOUSE_PASSWORD", password.trim()),
    );
    assert_eq!(configured, "30\n");

    let stop = ["demo", "--stop", "--output", "json"];
    let stopped = result(&mut bullion(folder, &stop));
    assert_eq!(stopped["pid"], kept["pid"]);
    assert_eq!(result(&mut bullion(folder, &stop))["status"], "noop");
    let refused = Command::new("curl").args(["-sS", url]).output().unwrap();
    assert!(
        !refused.status.success(),
        "something still answers at {url}"
    );

    // it starts one of its own, and nobody who reads it has to read to the end
    let mut much = bullion(folder, &["sql", "SELECT number FROM numbers(3000000)"]);
    let mut running = much
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn sql_says_what_is_wrong_and_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nowhere = bullion(folder, &["sql", "SELECT 1"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        said.contains("run `bullion demo` first, or set BULLION_CLICKHOUSE_URL"),
        "{said}"
    );
}

#[test]
fn a_missing_engine_is_answered_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = bullion(folder, &["demo"])
        .env("BULLION_LIBCHDB", "/nowhere/libchdb.so")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("npm pack @chdb/lib-linux-x64-gnu"), "{said}");
}
