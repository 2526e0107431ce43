//! Where in the binary log a snapshot stands.
//!
//! A change can be read from the log a moment before other transactions see it: the log is written first. So a snapshot
//! that is opened after a change was seen on Kafka may still lack it. MariaDB tells which position of the log a snapshot
//! has; one that is behind where the log was before it was opened is opened again.

use std::fmt;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

/// MariaDB's; outside of a snapshot they say where the log is now.
const POSITION: &str = "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'";
/// A commit is on its way for a few milliseconds, unless the server waits for a replica.
const MOST_TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::snapshot) struct Position {
    file: String,
    offset: u64,
}

impl Position {
    /// File names are numbered, and the number may get longer.
    fn is_before(&self, other: &Position) -> bool {
        let place = |at: &Position| (at.file.len(), at.file.clone(), at.offset);
        place(self) < place(other)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

/// Opens a snapshot that shows everything that was in the log before; its position where the server tells it and shows it.
pub(super) async fn begin(
    connection: &mut Conn,
    statement: &str,
) -> Result<Option<Position>, Error> {
    let logged = now(connection).await?;
    for _ in 0..MOST_TRIES {
        connection.query_drop(statement).await?;
        let shown = now(connection).await?;
        let (Some(logged), Some(shown)) = (&logged, shown) else {
            return Ok(None);
        };
        if !shown.is_before(logged) {
            return Ok(Some(shown));
        }
        connection.query_drop("ROLLBACK").await?;
        tokio::time::sleep(PAUSE).await;
    }
    connection.query_drop(statement).await?;
    Ok(None)
}

async fn now(connection: &mut Conn) -> Result<Option<Position>, Error> {
    let status: Vec<(String, String)> = connection.query(POSITION).await?;
    let of = |name: &str| {
        let found = status
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name));
        found
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    };
    let file = of("binlog_snapshot_file").cloned();
    let offset = of("binlog_snapshot_position").and_then(|value| value.parse().ok());
    Ok(file
        .zip(offset)
        .map(|(file, offset)| Position { file, offset }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_numbers_of_their_files() {
        let at = |file: &str, offset| Position {
            file: file.to_owned(),
            offset,
        };
        assert!(at("bin.000009", 900).is_before(&at("bin.000010", 4)));
        assert!(at("bin.999999", 900).is_before(&at("bin.1000000", 4)));
        assert!(at("bin.000010", 4).is_before(&at("bin.000010", 5)));
        assert!(!at("bin.000010", 5).is_before(&at("bin.000010", 5)));
    }
}
