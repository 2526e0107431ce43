//! A target that is made anew is empty: what the ledger says of its windows holds no more.

use super::missing;
use crate::error::{Kind, Result};
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// What a window that was ever built is told by.
const SEEN: &str =
    "(state IN ('done', 'unchanged', 'swapping') OR toUnixTimestamp64Micro(input_at) > 0)";

/// What the ledger says of a window until it is built again.
pub const MADE_ANEW: &str = "its target was made anew";

/// How many windows of a job the ledger says something of that its readers see.
pub async fn standing(clickhouse: &ClickHouse, ops: &str, job: &str) -> Result<u64> {
    let sql = format!(
        "SELECT count() FROM {}.windows_versions FINAL WHERE job = {} AND {SEEN}",
        quote(ops),
        literal(job)
    );
    match clickhouse.one(&sql).await {
        // nothing was ever built
        Err(error) if error.kind() == Kind::NotFound => Ok(0),
        found => found.map_err(missing),
    }
}

/// The statement that makes them windows to be built, before the target is there: whoever builds one has the last word.
/// Of no run; what depends on it sees the change once they are built.
pub fn forget(ops: &str, job: &str) -> String {
    format!(
        "INSERT INTO {ops}.windows_versions (job, window_from, window_to, state, `partition`, sql_hash, message, token, recorded_at, \
version, changed_at) SELECT job, window_from, window_to, 'failed', `partition`, sql_hash, {}, token, \
now64(3), version + 1, now64(6) FROM {ops}.windows_versions FINAL WHERE job = {} AND {SEEN}",
        literal(MADE_ANEW),
        literal(job),
        ops = quote(ops)
    )
}
