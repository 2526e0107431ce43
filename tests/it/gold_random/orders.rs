//! The source: a table of orders for each seed, its random changes, and what PostgreSQL says of it.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;

use super::plan::{DAYS, day};
use crate::support::{Dice, Source};

pub const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
time_column = "at"
before_image = {told}
[columns]
id = "Int64"
at = "Nullable(DateTime64(3, 'UTC'))"
amount = "Int64"
"#;
const ZONE: &str = "Europe/Berlin";
/// Ids of a table at most: so few that rows are met again and again.
const IDS: u64 = 60;

/// Makes the tables of all seeds and the connector that publishes them.
pub async fn publish(source: &Source, seeds: &[u64]) {
    let mut tables = Vec::new();
    for seed in seeds {
        let table = format!("orders_{seed}");
        source
            .run(&format!(
                "CREATE TABLE {table} (id bigint PRIMARY KEY, at timestamptz(3), amount bigint NOT NULL)"
            ))
            .await;
        tables.push(table);
    }
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    source.publish(&tables, &[]).await;
}

/// One seed's table.
pub struct Orders<'a> {
    source: &'a Source,
    pub table: String,
    dice: Dice,
}

impl<'a> Orders<'a> {
    pub fn new(source: &'a Source, seed: u64) -> Orders<'a> {
        Orders {
            source,
            table: format!("orders_{seed}"),
            dice: Dice::new(seed ^ 0x901d),
        }
    }

    /// Updates and deletes carry the row as it was.
    pub async fn tell_images(&self) {
        let sql = format!("ALTER TABLE {} REPLICA IDENTITY FULL", self.table);
        self.source.run(&sql).await;
    }

    pub fn topic(&self) -> String {
        self.source.topic(&self.table)
    }

    /// So many statements, all of them one transaction or each its own.
    pub async fn change(&mut self, statements: u64) {
        let mut sql = String::new();
        for _ in 0..statements {
            // writing to a String cannot fail
            let _ = writeln!(sql, "{};", self.statement());
        }
        if self.dice.below(2) == 0 {
            return self.source.run(&sql).await;
        }
        for statement in sql.lines() {
            self.source.run(statement).await;
        }
    }

    fn statement(&mut self) -> String {
        let (table, id, at) = (self.table.clone(), self.dice.below(IDS), self.instant());
        let amount = self.dice.below(1_000);
        match self.dice.below(100) {
            0..45 => format!(
                "INSERT INTO {table} VALUES ({id}, {at}, {amount}) ON CONFLICT (id) DO UPDATE SET at = excluded.at, amount = excluded.amount"
            ),
            45..60 => format!("UPDATE {table} SET amount = {amount} WHERE id = {id}"),
            60..80 => format!("UPDATE {table} SET at = {at} WHERE id BETWEEN {id} AND {id} + 2"),
            80..85 => {
                let other = self.dice.below(IDS);
                format!(
                    "UPDATE {table} SET id = {other} WHERE id = {id} AND NOT EXISTS (SELECT FROM {table} WHERE id = {other})"
                )
            }
            _ => format!("DELETE FROM {table} WHERE id BETWEEN {id} AND {id} + 1"),
        }
    }

    /// Any instant of the days, their edges often; sometimes none.
    fn instant(&mut self) -> String {
        let date = day(self.dice.below(DAYS));
        let clock = match self.dice.below(10) {
            0 => return "NULL".to_owned(),
            1 => "00:00:00".to_owned(),
            2 => "23:59:59.999".to_owned(),
            _ => format!("{}:{:02}:07.5", self.dice.below(24), self.dice.below(60)),
        };
        format!("timestamp '{date} {clock}' AT TIME ZONE '{ZONE}'")
    }

    pub async fn rows(&self) -> Vec<String> {
        let sql = format!(
            "SELECT id, floor(extract(epoch FROM at) * 1000)::bigint, amount FROM {} ORDER BY id",
            self.table
        );
        self.source.rows(&sql).await
    }

    /// The whole table as PostgreSQL writes it into a file.
    pub async fn export(&self) -> String {
        let sql = format!("COPY {} TO STDOUT (FORMAT csv, HEADER)", self.table);
        let copied = self.source.client.copy_out(&sql).await.unwrap();
        let parts: Vec<bytes::Bytes> = copied.try_collect().await.unwrap();
        String::from_utf8(parts.concat()).unwrap()
    }

    /// PostgreSQL's own aggregates: days, weeks, the whole table.
    pub async fn answers(&self) -> [Vec<String>; 3] {
        let (table, local) = (&self.table, format!("at AT TIME ZONE '{ZONE}'"));
        let daily = format!(
            "SELECT ({local})::date, count(*), sum(amount) FROM {table} WHERE at IS NOT NULL GROUP BY 1 ORDER BY 1"
        );
        let weekly = format!(
            "SELECT date_trunc('week', {local})::date, count(*), sum(amount) FROM {table} WHERE at IS NOT NULL GROUP BY 1 ORDER BY 1"
        );
        let whole = format!("SELECT count(*), coalesce(sum(amount), 0) FROM {table}");
        [
            self.source.rows(&daily).await,
            self.source.rows(&weekly).await,
            self.source.rows(&whole).await,
        ]
    }
}

/// The gold jobs over it, with further lines of their files: name, file, SELECT.
pub fn gold(silver: &str, gold: &str, more: &str) -> [(&'static str, String, String); 3] {
    let (from, to) = ("{from:DateTime64(3, 'UTC')}", "{to:DateTime64(3, 'UTC')}");
    let head = |grain: &str, more: &str, on: &str| {
        format!("{more}grain = \"{grain}\"\nzone = \"{ZONE}\"\ndepends_on = [\"{on}\"]\n")
    };
    [
        (
            "daily",
            head("day", more, "silver.orders") + "time_column = \"day\"\norder_by = [\"day\"]\n",
            format!(
                "SELECT toDate(assumeNotNull(at), '{ZONE}') AS day, count() AS orders, sum(amount) AS total
FROM {silver}.orders WHERE at >= {from} AND at < {to} GROUP BY day"
            ),
        ),
        (
            "weekly",
            head("week", more, "gold.daily") + "time_column = \"week\"\norder_by = [\"week\"]\n",
            format!(
                "SELECT toMonday(day) AS week, sum(orders) AS orders, sum(total) AS total FROM {gold}.daily
WHERE day >= toDate({from}, '{ZONE}') AND day < toDate({to}, '{ZONE}') GROUP BY week"
            ),
        ),
        (
            "whole",
            head("table", more, "silver.orders") + "order_by = [\"orders\"]\n",
            format!("SELECT count() AS orders, sum(amount) AS total FROM {silver}.orders"),
        ),
    ]
}
