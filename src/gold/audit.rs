//! A job's audits, asked of the staging table before readers see any of it.

use super::Session;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{Audit, Check, STAGING, Severity};
use crate::sink::clickhouse::quote;
use crate::window::Window;

impl Session<'_> {
    /// All audits, so that one build shows every finding; an error when one that blocks has any.
    pub(super) async fn audit(&self, staging: &str, window: Window) -> Result<()> {
        let mut blocking = Vec::new();
        for audit in &self.job.audits {
            let sql = format!(
                "SELECT count() FROM (\n{}\n)",
                self.audit_select(audit, staging)
            );
            let rows: u64 = self
                .clickhouse
                .one(&sql)
                .await
                .context(format!("audit `{}`", audit.name))?;
            if rows == 0 {
                continue;
            }
            let window = self.job.calendar.label(window);
            match audit.severity {
                Severity::Warn => {
                    tracing::warn!(
                        job = self.job.name,
                        window,
                        audit = audit.name,
                        rows,
                        "audit found rows"
                    );
                }
                Severity::Block => {
                    tracing::error!(
                        job = self.job.name,
                        window,
                        audit = audit.name,
                        rows,
                        "audit found rows"
                    );
                    blocking.push(format!("`{}` found {rows} rows", audit.name));
                }
            }
        }
        if blocking.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Kind::AuditBlocked,
            format!("audit {}", blocking.join(", ")),
        ))
    }

    fn audit_select(&self, audit: &Audit, staging: &str) -> String {
        let staging = self.qualified(staging);
        match &audit.check {
            Check::Sql(sql) => sql.replace(STAGING, &staging),
            Check::NotNull(columns) => {
                let nulls: Vec<String> = columns
                    .iter()
                    .map(|name| format!("isNull({})", quote(name)))
                    .collect();
                format!("SELECT 1 FROM {staging} WHERE {}", nulls.join(" OR "))
            }
        }
    }
}
