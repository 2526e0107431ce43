//! Audits on the real engine: asked of the new rows before readers see them, and what they find is kept.

mod shapes;

use crate::gold::{SQL, TOML, daily};
use crate::support::EmbeddedProject;
#[cfg(feature = "failpoints")]
use crate::support::{PATIENCE, SourceProject, postgres::address, program::Running, stack};

const HEAD: &str = "grain = \"day\"\ntime_column = \"day\"\norder_by = [\"day\", \"kind\"]\n";
const HELD: &str = "SELECT * FROM gold.daily ORDER BY ALL";
const STAGING: &str =
    "SELECT count() FROM system.tables WHERE database = 'gold' AND name LIKE '%staging%'";

/// One of each kind, all of them only told.
const EVERY_KIND: &str = r#"
[[audits]]
name = "sums"
severity = "warn"
not_null = ["day", "total"]

[[audits]]
name = "no sum twice"
severity = "warn"
unique = ["day", "total"]

[[audits]]
name = "known kinds"
severity = "warn"
accepted_values = { column = "kind", values = ["a", "b", "c"] }

[[audits]]
name = "sums of some size"
severity = "warn"
range = { column = "total", min = 0, max = 1_000_000 }

[[audits]]
name = "like yesterday"
severity = "warn"
row_count = { min = 1, max_ratio = 1.5, min_ratio = 0.5 }

[[audits]]
name = "no negative sums"
severity = "warn"
sql = "SELECT kind, total FROM {staging} WHERE total < 0"

[[audits]]
name = "nothing unknown"
severity = "warn"
sql_file = "audits/nothing_unknown.sql"
"#;
const NOTHING_UNKNOWN: &str =
    "SELECT sum(events) AS built, (SELECT count() FROM events WHERE kind IN ('a', 'b', 'c')
    AND at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}) AS known
FROM {staging} HAVING built != known; -- the window's own
";

fn with_audits(project: &EmbeddedProject, audits: &str) {
    project.write("jobs/gold/daily.toml", &format!("{HEAD}{audits}"));
}

#[tokio::test]
async fn every_kind_of_audit_passes_what_is_right_and_tells_what_is_not() {
    let project = daily().await;
    project.write("jobs/gold/audits/nothing_unknown.sql", NOTHING_UNKNOWN);
    with_audits(&project, EVERY_KIND);
    assert_eq!(
        project.run("migrate").await.exits(0).stdout,
        "nothing to change\n"
    );
    let right = project
        .run("gold --from 2024-03-04 --through 2024-03-05 --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(right["jobs"][0]["audits"], serde_json::json!([]), "{right}");
    assert_eq!(
        project.ask("SELECT count() FROM ops.audit_failures").await,
        "0"
    );

    project
        .sql("INSERT INTO events VALUES ('2024-03-05 12:00:00', 'x', NULL), ('2024-03-05 12:00:00', 'y', -5), ('2024-03-05 12:00:00', 'z', -5)")
        .await;
    let ran = project
        .run("gold --date 2024-03-05 --output json")
        .await
        .exits(0);
    let job = &ran.json()["jobs"][0];
    assert_eq!(
        (&job["built"], &job["warnings"]),
        (&1.into(), &7.into()),
        "{job}"
    );
    let what: Vec<&str> = job["audits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|audit| audit["what"].as_str().unwrap())
        .collect();
    let rows = "6 rows, more than 1.5 times the 3 of 2024-03-04";
    let expected = [
        "1 row",
        "1 key more than once",
        "3 rows",
        "2 rows",
        rows,
        "2 rows",
        "1 row",
    ];
    assert_eq!(what, expected);
    // told, and swapped nevertheless
    assert_eq!(
        project
            .ask("SELECT count() FROM gold.daily WHERE day = '2024-03-05'")
            .await,
        "6"
    );
    let kept = project
        .ask("SELECT audit, kind, severity, found, key_columns, arraySort(keys) FROM ops.audit_failures FINAL WHERE job = 'daily' \
AND toDate(window_from) = '2024-03-05' ORDER BY audit")
        .await;
    let day = "2024-03-05";
    let known = format!("[['{day}','x'],['{day}','y'],['{day}','z']]");
    let expected = [
        format!("known kinds\taccepted_values\twarn\t3\t['day','kind']\t{known}"),
        "like yesterday\trow_count\twarn\t6\t[]\t[]".to_owned(),
        "no negative sums\tsql\twarn\t2\t['kind']\t[['y'],['z']]".to_owned(),
        format!("no sum twice\tunique\twarn\t1\t['day','total']\t[['{day}','-5']]"),
        "nothing unknown\tsql\twarn\t1\t[]\t[]".to_owned(),
        format!("sums\tnot_null\twarn\t1\t['day','kind']\t[['{day}','x']]"),
        format!("sums of some size\trange\twarn\t2\t['day','kind']\t[['{day}','y'],['{day}','z']]"),
    ];
    assert_eq!(kept, expected.join("\n"));
    // a build that changes nothing looks, too, and says so to people
    let again = project.run("gold --date 2024-03-05").await.exits(0);
    let expected = "daily: 0 built, 1 unchanged, 7 warnings, 6 rows\n  warning: 2024-03-05: audit `sums` found 1 row\n";
    assert!(again.stdout.contains(expected), "{}", again.stdout);
    let message = "SELECT DISTINCT message FROM ops.runs WHERE message != ''";
    assert_eq!(
        project.ask(message).await,
        "7 warnings, the first: audit `sums` found 1 row"
    );
}

#[tokio::test]
async fn a_blocked_window_keeps_its_rows_until_the_input_is_mended() {
    let project = daily().await;
    project.write(
        "jobs/gold/after.toml",
        &format!("{HEAD}depends_on = [\"gold.daily\"]\n"),
    );
    project.write(
        "jobs/gold/after.sql",
        &SQL.replace(
            "FROM events",
            "FROM (SELECT toDateTime(day, 'UTC') AS at, kind, total AS amount FROM gold.daily)",
        ),
    );
    project.run("migrate").await.exits(0);
    project
        .run("gold --from 2024-03-04 --to 2024-03-07")
        .await
        .exits(0);
    let before = project.ask(HELD).await;
    let bad = "'2024-03-05 12:00:00', concat('bad', toString(number)), -987654321";
    project
        .sql(&format!("INSERT INTO events SELECT {bad} FROM numbers(30)"))
        .await;
    project
        .sql("INSERT INTO events VALUES ('2024-03-06 12:00:00', 'a', 5)")
        .await;

    let blocked = project
        .run("gold --from 2024-03-05 --to 2024-03-07 --output json")
        .await
        .exits(4);
    let job = &blocked.json()["jobs"][0];
    assert_eq!(
        (&job["built"], &job["blocked"]),
        (&1.into(), &1.into()),
        "{job}"
    );
    assert_eq!(job["audits"][0]["severity"], "block", "{job}");
    let said = format!("{}{}", blocked.stdout, blocked.stderr);
    assert!(
        said.contains("audit `no negative sums` found 30 rows"),
        "{said}"
    );
    assert!(said.contains("gold.daily it depends on failed"), "{said}");
    for value in ["bad1", "987654321"] {
        assert!(!said.contains(value), "{said}");
    }
    let fifth = "SELECT * FROM gold.daily WHERE day != '2024-03-06' ORDER BY ALL";
    let others: Vec<&str> = before
        .lines()
        .filter(|line| !line.starts_with("2024-03-06"))
        .collect();
    assert_eq!(project.ask(fifth).await, others.join("\n"));
    assert_eq!(project.ask(STAGING).await, "0");
    let ledger =
        "SELECT toDate(window_from), state FROM ops.windows WHERE job = 'daily' ORDER BY 1";
    assert_eq!(
        project.ask(ledger).await,
        "2024-03-04\tdone\n2024-03-05\tblocked\n2024-03-06\tdone"
    );
    assert_eq!(
        project.ask("SELECT state, exit, failed FROM ops.runs WHERE job = 'daily' ORDER BY run_id DESC LIMIT 1").await,
        "blocked\t4\t1"
    );
    let kept =
        "SELECT found, length(keys), keys[1][2] LIKE 'bad%', key_columns FROM ops.audit_failures";
    assert_eq!(project.ask(kept).await, "30\t20\t1\t['day','kind']");

    // still wrong: the same again, and readers keep what they have
    project.run("gold daily --missing").await.exits(4);
    project
        .sql("ALTER TABLE events DELETE WHERE amount < 0 SETTINGS mutations_sync = 2")
        .await;
    let mended = project.run("gold --missing --output json").await.exits(0);
    assert_eq!(mended.json()["jobs"][0]["windows"], 1, "{}", mended.stdout);
    assert_eq!(project.ask(fifth).await, others.join("\n"));
    let stands = "SELECT countIf(state NOT IN ('done', 'unchanged')) FROM ops.windows";
    assert_eq!(project.ask(stands).await, "0");
    let later = "SELECT count() FROM ops.audit_failures AS f JOIN ops.windows AS w USING (job, window_from, window_to, run_id)";
    assert_eq!(project.ask(later).await, "0");
}

#[tokio::test]
async fn an_audit_that_cannot_be_asked_lets_nothing_through() {
    let project = daily().await;
    project.run("gold --date 2024-03-05").await.exits(0);
    let before = project.ask(HELD).await;
    project
        .sql("INSERT INTO events VALUES ('2024-03-05 12:00:00', 'd', 8)")
        .await;
    // what no file tells, ClickHouse does before the first row is read
    for (audit, exit, expected) in [
        (
            "not_null = [\"totl\"]",
            2,
            "audit `x`: its SELECT has no column `totl`, did you mean `total`?",
        ),
        (
            "sql = \"SELECT * FROM {staging} WHERE totl < 0\"",
            1,
            "audit `x`: clickhouse refused",
        ),
        (
            "sql = \"SELECT * FROM {staging} WHERE kind IN (SELECT kind FROM kinds)\"",
            2,
            "audit `x`: clickhouse refused",
        ),
        (
            "range = { column = \"day\", min = \"soon\" }",
            1,
            "audit `x`: clickhouse refused",
        ),
    ] {
        with_audits(&project, &format!("[[audits]]\nname = \"x\"\n{audit}\n"));
        for command in ["migrate", "gold --date 2024-03-05"] {
            let refused = project.run(command).await.exits(exit);
            assert!(
                refused.stderr.contains(expected),
                "{command}, {audit}: {}",
                refused.stderr
            );
        }
    }
    let failed = "SELECT count() FROM ops.windows WHERE state != 'done'";
    assert_eq!(project.ask(failed).await, "0");
    // what only the rows tell fails their window
    with_audits(
        &project,
        "[[audits]]\nname = \"x\"\nseverity = \"warn\"\nsql = \"SELECT * FROM {staging} WHERE throwIf(events = 1)\"\n",
    );
    let failed = project.run("gold --date 2024-03-05").await.exits(1);
    assert!(
        failed.stderr.contains("audit `x`: clickhouse refused"),
        "{}",
        failed.stderr
    );
    assert_eq!(project.ask(HELD).await, before);
    assert_eq!(project.ask("SELECT state FROM ops.windows").await, "failed");
    assert_eq!(project.ask(STAGING).await, "0");
    project.write("jobs/gold/daily.toml", TOML);
    project.run("gold --missing").await.exits(0);
    assert_eq!(project.ask("SELECT count() FROM gold.daily").await, "4");
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_cut_off_swap_that_has_to_be_built_anew_is_audited_too() {
    is_audited_too(&daily().await, async || {}).await;
}

/// The lease of what cannot be redone is free for the same command's build, which says why.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_swap_under_a_lease_in_postgres_is_audited_too() {
    let source = SourceProject::new("gold_audits", "").await;
    let mut project = daily().await;
    let password = stack("BULLION_POSTGRES_PASSWORD");
    let url = address(&source.name).replacen(&format!(":{password}@"), "@", 1);
    project.set("BULLION_LEASE_PASSWORD", &password);
    // whoever is killed holds it to its end
    project.configure(&format!(
        "[lease]\nttl = \"10m\"\nkind = \"postgres\"\nurl = \"{url}\"\n"
    ));
    let free = "UPDATE bullion_leases SET expires_at = '-infinity'";
    let freed = async || {
        source.client.execute(free, &[]).await.unwrap();
    };
    is_audited_too(&project, freed).await;
    let held = "SELECT count(*) FROM bullion_leases WHERE expires_at > clock_timestamp()";
    assert_eq!(source.count(held).await, 0);
}

#[cfg(feature = "failpoints")]
async fn is_audited_too(project: &EmbeddedProject, after_the_kill: impl AsyncFn()) {
    project.run("gold --date 2024-03-05").await.exits(0);
    let before = project.ask(HELD).await;
    let add = "INSERT INTO events VALUES ('2024-03-05 12:00:00', 'd'";
    project.sql(&format!("{add}, 5)")).await;
    let child = project
        .command("gold --date 2024-03-05")
        .env("BULLION_FAILPOINT", "swap-announced:1:kill")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    Running(child).wait(PATIENCE);
    after_the_kill().await;
    project
        .sql("DROP TABLE gold.daily__staging_2_20240305 SYNC")
        .await;
    project.sql(&format!("{add}, -7)")).await;
    let state = "SELECT state FROM ops.windows WHERE toDate(window_from) = '2024-03-05'";
    for _ in 0..2 {
        let blocked = project.run("gold --date 2024-03-04").await.exits(4);
        let expected = "window 2024-03-05: audit `no negative sums` found 1 row";
        assert!(blocked.stderr.contains(expected), "{}", blocked.stderr);
        assert_eq!(project.ask(state).await, "swapping");
        assert_eq!(project.ask(HELD).await, before);
    }
    project
        .sql("ALTER TABLE events DELETE WHERE amount < 0 SETTINGS mutations_sync = 2")
        .await;
    project.run("gold --date 2024-03-04").await.exits(0);
    assert_eq!(project.ask(state).await, "done");
    let rows = "SELECT count() FROM gold.daily WHERE day = '2024-03-05'";
    assert_eq!(project.ask(rows).await, "4");
}
