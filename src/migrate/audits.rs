//! Whether a gold job's audits can be asked at all: before anything is built, and by `bullion migrate`.

use super::gold::{TargetColumn, described};
use crate::error::{Context as _, Error, Kind, Result};
use crate::fault::suggestion;
use crate::job::GoldJob;
use crate::sink::clickhouse::ClickHouse;

/// Every column that an audit names is one of the job's SELECT.
pub(super) fn check_columns(job: &GoldJob, selected: &[TargetColumn]) -> Result<()> {
    let names = || selected.iter().map(|column| column.name.as_str());
    let mut faults = Vec::new();
    for audit in &job.audits {
        for wanted in audit.check.columns() {
            if !names().any(|name| name == wanted) {
                let near = suggestion(wanted, names());
                faults.push(format!(
                    "audit `{}`: its SELECT has no column `{wanted}`{near}",
                    audit.name
                ));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Mismatch, faults.join("; "))),
    }
}

/// ClickHouse's own word on the SQL of each audit, over a target (as SQL writes it) that has the columns of staging.
pub(super) async fn check_sql(clickhouse: &ClickHouse, target: &str, job: &GoldJob) -> Result<()> {
    for audit in &job.audits {
        if let Some(select) = audit.check.select(target, &job.order_by) {
            described(clickhouse, &select)
                .await
                .context(format!("audit `{}`", audit.name))?;
        }
    }
    Ok(())
}
