//! A bank to write to: its tables, jobs, writers, and the comparison of what arrived with what PostgreSQL has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::support::{Dice, PATIENCE, Project, Source};

/// Rows that the writers insert; they update, move and delete some of them too.
pub const ROWS: u64 = 100_000;
pub const WRITERS: u64 = 4;
/// Pause of a writer that has written its share.
const TRICKLE: Duration = Duration::from_millis(50);

pub const TABLES: &str = "
    CREATE TABLE accounts (
        region text NOT NULL,
        id bigint NOT NULL,
        owner text,
        balance numeric(14, 2) NOT NULL,
        opened_at timestamptz NOT NULL,
        changed_at timestamp,
        PRIMARY KEY (region, id)
    );
    CREATE TABLE history (
        id bigserial PRIMARY KEY,
        account bigint NOT NULL,
        delta numeric NOT NULL,
        at timestamptz NOT NULL,
        note text
    );
";

pub const ACCOUNTS: &str = r#"
topic = "{topic}"
key = ["region", "id"]
time_column = "opened_at"
[columns]
region = "String"
id = "Int64"
owner = "Nullable(String)"
balance = "Decimal(14, 2)"
opened_at = "DateTime64(6, 'UTC')"
changed_at = { type = "Nullable(DateTime64(6, 'UTC'))", from = "micros" }
"#;

pub const HISTORY: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
account = "Int64"
delta = "String"
at = "DateTime64(6, 'UTC')"
note = "Nullable(String)"
"#;

/// Balances by the day an account was opened, of the ten days before today.
pub const ACCOUNTS_BY_DAY: &str = r#"
grain = "day"
time_column = "day"
order_by = ["day", "region"]
depends_on = ["silver.accounts"]
[[audits]]
name = "accounts are counted"
sql = "SELECT * FROM {staging} WHERE accounts = 0"
"#;

pub const ACCOUNTS_BY_DAY_SQL: &str = "
SELECT toDate(opened_at, 'UTC') AS day, region, count() AS accounts, sum(balance) AS balance
FROM {silver}.accounts_between(from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')})
GROUP BY day, region
";

/// A session that inserts, updates, moves keys, deletes and rolls back: its share of the rows as fast as it can, then
/// a trickle for as long as there are processes to kill.
pub async fn write_like_pgbench(client: Client, writer: u64, killing: Arc<AtomicBool>) {
    let mut dice = Dice::new(writer + 7);
    let each = ROWS / WRITERS;
    let first = 1_000_000 * (writer + 1);
    let mut next = first;
    while next < first + each || killing.load(Ordering::Relaxed) {
        let many = if next < first + each {
            20 + dice.below(180)
        } else {
            1
        };
        let last = next + many - 1;
        let some = first + dice.below(next - first + 1);
        let (small, cents) = (dice.below(40), dice.below(1_000_000));
        let end = if dice.below(10) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let transaction = format!(
            "BEGIN;
             INSERT INTO accounts SELECT 'eu', n, 'o''' || n % 97, n * 1.01, date_trunc('day', now(), 'UTC') - (n % 14400 + 1) * interval '1 minute', localtimestamp
                 FROM generate_series({next}, {last}) n;
             UPDATE accounts SET balance = balance + {cents} / 100.0, changed_at = localtimestamp
                 WHERE region = 'eu' AND id BETWEEN {some} AND {some} + {small};
             INSERT INTO history (account, delta, at, note)
                 VALUES ({some}, {cents} / 1000.0, now(), CASE WHEN {small} % 3 = 0 THEN NULL ELSE E'line\\n\"{small}\" ümlaut' END);
             UPDATE accounts SET region = 'us' WHERE region = 'eu' AND id = {some};
             DELETE FROM accounts WHERE region = 'us' AND id BETWEEN {some} - 3 AND {some} - 1;
             {end};"
        );
        client.batch_execute(&transaction).await.unwrap();
        if end == "COMMIT" {
            next = last + 1;
        }
        if many == 1 {
            tokio::time::sleep(TRICKLE).await;
        }
    }
}

/// Value for value, by query.
pub async fn assert_same(source: &Source, project: &Project) {
    for (table, in_postgres, in_clickhouse) in [
        (
            "accounts",
            "region, id, owner, balance, (extract(epoch FROM opened_at) * 1000000)::bigint, (extract(epoch FROM changed_at) * 1000000)::bigint",
            "region, id, owner, toDecimalString(balance, 2), toUnixTimestamp64Micro(opened_at), toUnixTimestamp64Micro(changed_at)",
        ),
        (
            "history",
            "id, account, delta, (extract(epoch FROM at) * 1000000)::bigint, replace(note, E'\\n', '\\n')",
            "id, account, delta, toUnixTimestamp64Micro(at), replaceAll(note, '\n', '\\\\n')",
        ),
    ] {
        let mut expected = source
            .rows(&format!("SELECT {in_postgres} FROM {table}"))
            .await;
        expected.sort();
        let sql = format!(
            "SELECT {in_clickhouse} FROM {}_silver.{table} FORMAT TSVRaw",
            project.name
        );
        let same = async || {
            let mut found = project.engine.rows(&sql).await;
            found.sort();
            let first = expected.iter().zip(&found).find(|(a, b)| a != b);
            (
                expected.len(),
                found.len(),
                first.map(|(a, b)| format!("{a}\n{b}")),
            )
        };
        let equal = (expected.len(), expected.len(), None);
        let until = Instant::now() + PATIENCE;
        while same().await != equal && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(
            same().await,
            equal,
            "{table}: rows in PostgreSQL, rows in silver, first difference"
        );
        assert!(
            expected.len() > 400,
            "the writers wrote {} {table}",
            expected.len()
        );
    }
}

/// The aggregate as PostgreSQL computes it itself.
pub async fn assert_same_gold(source: &Source, project: &Project) {
    let aggregate = "SELECT (opened_at AT TIME ZONE 'UTC')::date, region, count(*), sum(balance)
        FROM accounts WHERE opened_at < date_trunc('day', now(), 'UTC') GROUP BY 1, 2";
    let mut expected = source.rows(aggregate).await;
    expected.sort();
    let sql = format!(
        "SELECT day, region, accounts, toDecimalString(balance, 2) FROM {}_gold.accounts_by_day FORMAT TSVRaw",
        project.name
    );
    let mut found = project.engine.rows(&sql).await;
    found.sort();
    assert!(expected.len() >= 10, "{expected:?}");
    assert_eq!(found, expected);
}
