//! What the audits of a job found, as its end tells it: figures, never values.

use serde_json::{Value, json};

use super::out;
use crate::audit::{Finding, Severity};
use crate::job::GoldJob;

/// A backfill may find something in each of a thousand windows, and its result is one line; `ops.audit_failures` has all.
const TOLD: usize = 20;

/// The first of them, for JSON.
pub(super) fn described(job: &GoldJob, findings: &[Finding]) -> Vec<Value> {
    let describe = |finding: &Finding| {
        json!({
            "window": job.calendar.label(finding.window), "audit": finding.audit, "severity": finding.severity.as_str(),
            "found": finding.found, "what": finding.what,
        })
    };
    findings.iter().take(TOLD).map(describe).collect()
}

/// Warnings, a line for each: what blocked is told with the error. `job` is what the JSON says of it.
pub(super) fn show(job: &Value) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let none = Vec::new();
    for audit in job["audits"].as_array().unwrap_or(&none) {
        if audit["severity"] == Severity::Warn.as_str() {
            let (window, name, what) = (
                text(audit, "window"),
                text(audit, "audit"),
                text(audit, "what"),
            );
            out::line(format!("  warning: {window}: audit `{name}` found {what}"));
        }
    }
}
