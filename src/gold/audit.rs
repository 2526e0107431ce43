//! A job's audits, asked of the staging table before readers see any of it. What they find is kept in `ops.audit_failures`.

use clickhouse::{RowOwned, RowRead};

use super::Session;
use super::staging::seconds;
use crate::audit::{Audit, Before, Check, Finding, RowCount, Severity};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::partition_id;
use crate::migrate::gold::described;
use crate::sink::clickhouse::{literal, quote};
use crate::window::Window;

/// Of what an audit found, the keys of so many rows are kept: enough to look at, whatever is wrong.
const KEPT_KEYS: u32 = 20;
/// Characters kept of one column of a key.
const KEPT_CHARACTERS: u32 = 200;

impl Session<'_> {
    /// All audits, so that one build shows every finding; an error when one that blocks has any.
    pub(super) async fn audit(&self, staging: &str, window: Window) -> Result<()> {
        // a window is tried again after an answer of "not now"
        self.findings().retain(|finding| finding.window != window);
        let mut blocking = Vec::new();
        for audit in &self.job.audits {
            let about = || format!("audit `{}`", audit.name);
            let asked = self.ask(audit, staging, window).await.context(about());
            let Some(finding) = asked? else {
                continue;
            };
            self.keep(audit, &finding, staging).await.context(about())?;
            match finding.severity {
                Severity::Warn => {
                    let window = self.job.calendar.label(window);
                    tracing::warn!(job = self.job.name, window, "{finding}");
                }
                Severity::Block => blocking.push(finding.to_string()),
            }
            self.findings().push(finding);
        }
        if blocking.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::AuditBlocked, blocking.join(", "));
        Err(error.advise(format!(
            "readers keep the old rows; {}.audit_failures holds keys of what was found: correct the input or the audit",
            self.ops
        )))
    }

    async fn ask(&self, audit: &Audit, staging: &str, window: Window) -> Result<Option<Finding>> {
        let finding = |found, what| Finding {
            window,
            audit: audit.name.clone(),
            severity: audit.severity,
            found,
            what,
        };
        let staging = self.qualified(staging);
        if let Check::RowCount(wanted) = &audit.check {
            let rows = self
                .audited(&format!("SELECT count() FROM {staging}"), window)
                .await?;
            let before = self.before(wanted, window).await?;
            let wrong = wanted.judge(rows, before.as_ref());
            return Ok(wrong.map(|what| finding(rows, what)));
        }
        let Some(select) = audit.check.select(&staging, &self.job.order_by) else {
            return Ok(None);
        };
        let found = self
            .audited(&format!("SELECT count() FROM (\n{select}\n)"), window)
            .await?;
        Ok((found > 0).then(|| finding(found, audit.check.count_of(found))))
    }

    /// What readers see of the window that this one is compared with.
    async fn before(&self, wanted: &RowCount, window: Window) -> Result<Option<Before>> {
        let calendar = self.job.calendar;
        let Some(earlier) = wanted.earlier(calendar, window) else {
            return Ok(None);
        };
        let sql = format!(
            "SELECT count() FROM {} WHERE _partition_id = {}",
            self.qualified(&self.job.name),
            literal(&partition_id(calendar, earlier))
        );
        Ok(Some(Before {
            rows: self.audited(&sql, window).await?,
            window: calendar.label(earlier),
        }))
    }

    /// Under a name by which a signal's end of the run finds and kills it.
    async fn audited<T: RowOwned + RowRead>(&self, sql: &str, window: Window) -> Result<T> {
        let query_id = format!("{}-audit-{}", self.run.id, uuid::Uuid::new_v4().simple());
        let query = self
            .clickhouse
            .client()
            .query_raw(sql)
            .with_setting("param_from", seconds(window.from))
            .with_setting("param_to", seconds(window.to))
            .with_setting("query_id", query_id);
        let answer = query.fetch_one::<T>().await;
        answer.map_err(|error| self.clickhouse.explain(error))
    }

    /// From ClickHouse to ClickHouse: no key passes through this process.
    async fn keep(&self, audit: &Audit, finding: &Finding, staging: &str) -> Result<()> {
        let select = audit
            .check
            .select(&self.qualified(staging), &self.job.order_by);
        let columns = self.key_columns(&audit.check, select.as_deref()).await?;
        let names: Vec<String> = columns.iter().map(|column| literal(column)).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let text = format!("toString({})", quote(column));
                format!("leftUTF8(CAST({text}, 'Nullable(String)'), {KEPT_CHARACTERS})")
            })
            .collect();
        let keys = match &select {
            Some(select) if !columns.is_empty() => format!(
                "groupArray([{}]) FROM (SELECT * FROM (\n{select}\n) LIMIT {KEPT_KEYS})",
                values.join(", ")
            ),
            _ => "[]".to_owned(),
        };
        let Window { from, to } = finding.window;
        let sql = format!(
            "INSERT INTO {ops}.audit_failures (job, window_from, window_to, audit, kind, severity, found, what, run_id, at, \
key_columns, keys) SELECT {job}, fromUnixTimestamp64Milli(toInt64({from}), 'UTC'), fromUnixTimestamp64Milli(toInt64({to}), 'UTC'), \
{name}, {kind}, {severity}, {found}, {what}, {run}, now64(3), CAST([{names}], 'Array(String)'), {keys}",
            ops = quote(self.ops),
            job = literal(&self.job.name),
            from = from.timestamp_millis(),
            to = to.timestamp_millis(),
            name = literal(&audit.name),
            kind = literal(audit.check.kind()),
            severity = literal(audit.severity.as_str()),
            found = finding.found,
            what = literal(&finding.what),
            run = literal(&self.run.id),
            names = names.join(", "),
        );
        let query = self
            .clickhouse
            .client()
            .query_raw(&sql)
            .with_setting("param_from", seconds(from))
            .with_setting("param_to", seconds(to))
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "0");
        let done = query.execute().await;
        done.map_err(|error| match self.clickhouse.explain(error) {
            error if error.kind() == Kind::NotFound => {
                error.advise("run `bullion migrate`: it makes the table of what audits find")
            }
            error => error,
        })
    }

    /// Columns of a key that the audit's SELECT gives: one of a person's own need not give any.
    async fn key_columns(&self, check: &Check, select: Option<&str>) -> Result<Vec<String>> {
        let wanted = check.key_columns(&self.job.order_by);
        let (Check::Sql(_), Some(select)) = (check, select) else {
            return Ok(wanted.to_vec());
        };
        let given = described(&self.clickhouse, select).await?;
        let is_given = |name: &&String| given.iter().any(|column| column.name == **name);
        Ok(wanted.iter().filter(is_given).cloned().collect())
    }
}
