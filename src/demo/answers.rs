//! What ClickHouse says against what PostgreSQL said at the end of the capture.

use serde_json::{Map, Value};

use super::folder::SILVER;
use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::ClickHouse;

/// PostgreSQL's answers to demo/answers.sql.
const EXPECTED: &str = include_str!("../../demo/expected.json");

/// The same questions for silver and gold, in the words of the expected answers.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "flights_by_day",
        "SELECT toString(flight_date) AS flight_date, sum(flights) AS flights, sum(cancelled) AS cancelled,
            sum(late) AS late, sum(departed) AS departed, sum(dep_delay_minutes) AS dep_delay_minutes,
            sum(arrived) AS arrived, sum(arr_delay_minutes) AS arr_delay_minutes,
            toDecimalString(dep_delay_minutes / departed, 3) AS mean_dep_delay,
            toDecimalString(arr_delay_minutes / arrived, 3) AS mean_arr_delay,
            toDecimalString(sum(miles), 1) AS miles
         FROM gold.flights_by_day GROUP BY flight_date ORDER BY flight_date",
    ),
    (
        "carriers_by_day",
        "SELECT toString(flight_date) AS flight_date, carrier, name, flights, cancelled, late, arr_delay_minutes,
            toDecimalString(mean_arr_delay, 3) AS mean_arr_delay
         FROM gold.carrier_delays_by_day ORDER BY flight_date, carrier",
    ),
    (
        "sums",
        "SELECT (SELECT toString(sum(id)) FROM silver.flights) AS flights_id,
            (SELECT toString(sum(air_time)) FROM silver.flights) AS flights_air_time,
            (SELECT count(tailnum) FROM silver.flights) AS flights_tailnum,
            (SELECT toString(sum(length(tailnum))) FROM silver.planes) AS planes_tailnum_length,
            (SELECT toString(sum(year)) FROM silver.planes) AS planes_year,
            (SELECT toDecimalString(sum(temp), 2) FROM silver.weather) AS weather_temp,
            (SELECT toDecimalString(sum(tz), 2) FROM silver.airports) AS airports_tz",
    ),
];
/// Differences that are shown; the rest is counted.
const SHOWN: usize = 5;

/// How many values were compared and found equal; an error names those that differ.
pub async fn check(clickhouse: &ClickHouse, epoch: u8) -> Result<usize> {
    let expected: Value = serde_json::from_str(EXPECTED).map_err(|error| {
        Error::new(Kind::Internal, "the expected answers cannot be read").because(error)
    })?;
    let mut compared = Compared::default();
    for table in SILVER {
        let count: u64 = clickhouse
            .one(&format!("SELECT count() FROM silver.{table}"))
            .await?;
        compared.value(
            &format!("rows of silver.{table}"),
            &Value::from(count),
            &expected["rows"][table],
        );
        // rows of an earlier run would hide that this one lost something
        let sql = format!(
            "SELECT countIf(bitShiftRight(_version, 56) != {epoch}) FROM silver.{table}_versions FINAL"
        );
        let stale: u64 = clickhouse.one(&sql).await?;
        compared.value(
            &format!("rows of silver.{table} that this run did not write"),
            &Value::from(stale),
            &Value::from(0),
        );
    }
    let sql =
        format!("SELECT count() FROM ops.dead_letters WHERE bitShiftRight(version, 56) = {epoch}");
    let rejected: u64 = clickhouse.one(&sql).await?;
    compared.value("dead letters", &Value::from(rejected), &Value::from(0));
    for (name, question) in QUESTIONS {
        let found = rows(clickhouse, question).await?;
        compared.table(name, &found, &expected[name]);
    }
    compared.into_result()
}

/// A checksum over every value of silver, bullion's own columns left out.
pub async fn checksum(clickhouse: &ClickHouse) -> Result<String> {
    let parts: Vec<String> = SILVER
        .iter()
        .map(|table| {
            let row = "tuple(COLUMNS('^[^_]'))";
            format!("(SELECT sum(cityHash64('{table}', toString({row}))) FROM silver.{table})")
        })
        .collect();
    let sql = format!(
        "SELECT assumeNotNull(lower(hex(cityHash64({}))))",
        parts.join(", ")
    );
    clickhouse.one(&sql).await
}

/// A small result as JSON objects, numbers as numbers.
pub async fn rows(clickhouse: &ClickHouse, sql: &str) -> Result<Vec<Map<String, Value>>> {
    let text = async {
        let query = clickhouse.client().query_raw(sql);
        let query = query.with_setting("output_format_json_quote_64bit_integers", "0");
        query.fetch_bytes("JSONEachRow")?.collect().await
    };
    let text = text.await.map_err(|error| clickhouse.explain(error))?;
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                Error::new(Kind::Internal, "a result is no JSON object").because(error)
            })
        })
        .collect()
}

#[derive(Default)]
struct Compared {
    equal: usize,
    differences: Vec<String>,
}

impl Compared {
    fn value(&mut self, what: &str, found: &Value, expected: &Value) {
        if found == expected {
            self.equal += 1;
        } else {
            self.differences
                .push(format!("{what}: {found}, and not {expected}"));
        }
    }

    fn table(&mut self, name: &str, found: &[Map<String, Value>], expected: &Value) {
        let empty = Vec::new();
        let expected = expected.as_array().unwrap_or(&empty);
        self.value(
            &format!("rows of {name}"),
            &Value::from(found.len()),
            &Value::from(expected.len()),
        );
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            for (column, expected) in expected.as_object().into_iter().flatten() {
                let value = found.get(column).unwrap_or(&Value::Null);
                let row = index + 1;
                self.value(&format!("{name}, row {row}, {column}"), value, expected);
            }
        }
    }

    fn into_result(self) -> Result<usize> {
        if self.differences.is_empty() {
            return Ok(self.equal);
        }
        let mut message = format!(
            "{} answers differ from PostgreSQL's",
            self.differences.len()
        );
        for difference in self.differences.iter().take(SHOWN) {
            message.push_str("\n  ");
            message.push_str(difference);
        }
        if self.differences.len() > SHOWN {
            message.push_str("\n  …");
        }
        Err(Error::new(Kind::Internal, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_named_with_its_row_and_column() {
        let mut compared = Compared::default();
        let found = [Map::from_iter([("flights".to_owned(), Value::from(768))])];
        compared.table("by_day", &found, &serde_json::json!([{"flights": 769}]));
        let error = compared.into_result().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("by_day, row 1, flights: 768, and not 769"),
            "{error}"
        );
        assert_eq!(error.kind().policy().exit, 1);
    }

    #[test]
    fn a_missing_row_is_a_wrong_answer() {
        let mut compared = Compared::default();
        compared.table("by_day", &[], &serde_json::json!([{"flights": 769}]));
        assert!(compared.into_result().is_err());
    }
}
