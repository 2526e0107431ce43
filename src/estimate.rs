//! How many rows a build would read, by ClickHouse's own index analysis: nothing of the build is run.

use clickhouse::Row;
use serde::Deserialize;

use crate::error::Result;
use crate::job::GoldJob;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

/// Windows of a job that ClickHouse is asked about; the others are taken to be like them.
pub const MOST_ASKED: usize = 12;
/// Seconds: an answer that takes longer says nothing that is worth the wait.
const PATIENCE: &str = "10";

/// Rows that builds would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    Asked(u64),
    /// the mean of those that were asked about
    Taken(u64),
}

impl Rows {
    pub fn number(self) -> u64 {
        let (Rows::Asked(rows) | Rows::Taken(rows)) = self;
        rows
    }
}

/// One for each window, in their order.
pub async fn rows(clickhouse: &ClickHouse, job: &GoldJob, windows: &[Window]) -> Result<Vec<Rows>> {
    let asked = sample(windows.len());
    let mut answers = Vec::with_capacity(asked.len());
    for window in asked.iter().filter_map(|index| windows.get(*index)) {
        answers.push(of_window(clickhouse, job, *window).await?);
    }
    let mean = answers.iter().sum::<u64>() / (answers.len() as u64).max(1);
    let rows = |index| match asked.binary_search(&index) {
        Ok(at) => Rows::Asked(answers.get(at).copied().unwrap_or(mean)),
        Err(_) => Rows::Taken(mean),
    };
    Ok((0..windows.len()).map(rows).collect())
}

/// Every one of few; of many the first, the last, and some between at equal distances.
fn sample(count: usize) -> Vec<usize> {
    match count {
        0..=MOST_ASKED => (0..count).collect(),
        _ => {
            let step = |nth: usize| nth * (count - 1) / (MOST_ASKED - 1);
            (0..MOST_ASKED).map(step).collect()
        }
    }
}

async fn of_window(clickhouse: &ClickHouse, job: &GoldJob, window: Window) -> Result<u64> {
    #[derive(Row, Deserialize)]
    #[allow(dead_code, reason = "a row of EXPLAIN is read whole")]
    struct Estimate {
        database: String,
        table: String,
        parts: u64,
        rows: u64,
        marks: u64,
    }
    let sql = format!("EXPLAIN ESTIMATE {}", job.filled(window));
    let query = clickhouse.client().query_raw(&sql);
    let query = query
        // else ClickHouse runs the subqueries of IN to look their keys up in the index
        .with_setting("use_index_for_in_with_subqueries", "0")
        .with_setting("max_execution_time", PATIENCE);
    let tables = query.fetch_all::<Estimate>().await;
    let tables = tables.map_err(|error| clickhouse.explain(error))?;
    Ok(tables.iter().map(|table| table.rows).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_windows_some_are_asked_about_from_the_first_to_the_last() {
        assert_eq!(sample(0), Vec::<usize>::new());
        assert_eq!(sample(3), [0, 1, 2]);
        for count in [13, 30, 4_000] {
            let asked = sample(count);
            assert_eq!((asked[0], asked[11]), (0, count - 1));
            assert!(asked.windows(2).all(|pair| pair[0] < pair[1]), "{asked:?}");
        }
    }
}
