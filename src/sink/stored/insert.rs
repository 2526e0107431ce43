//! Rows whose versions are fixed, sent until they are there.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::column::Block;
use crate::error::{Result, Retry};
use crate::failpoint::{self, Point};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::touches::Touches;

/// Twelve seconds of pauses altogether; whoever is called by hand wants to know by then.
const MOST_TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Writes rows whose versions are fixed: sent again after an unknown outcome, they are the same rows. `touches`: of the
/// table, unless nobody reads it yet.
pub async fn insert(
    clickhouse: &ClickHouse,
    table: &str,
    block: &Block,
    touches: Option<&Touches>,
) -> Result<()> {
    if block.is_empty() {
        return Ok(());
    }
    let mut body = Vec::with_capacity(block.bytes());
    block.encode_native(&mut body);
    let body = Bytes::from(body);
    let columns: Vec<&str> = block
        .columns()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut pause = FIRST_PAUSE;
    let mut affected = BTreeSet::new();
    for tries in 1.. {
        let written = async {
            let Some(touches) = touches else {
                return clickhouse
                    .insert_native(table, &columns, body.clone())
                    .await;
            };
            touches.announce(block).await?;
            affected.extend(touches.affected(block).await?);
            // before as well: after a crash in between the rows are right, and nobody writes them again
            touches.touch(&affected).await?;
            failpoint::pass(Point::BeforeInsert).await;
            clickhouse
                .insert_native(table, &columns, body.clone())
                .await?;
            failpoint::pass(Point::InsertAcked).await;
            touches.touch(&affected).await?;
            touches.record(block).await
        };
        match written.await {
            Ok(()) => break,
            Err(error) if error.kind().policy().retry == Retry::Never || tries == MOST_TRIES => {
                return Err(error.context(format!("insert into {table}")));
            }
            Err(error) => tracing::warn!(%error, "trying again"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}
