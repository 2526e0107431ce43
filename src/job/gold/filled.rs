//! A job's SELECT as it is for one window: what stands for its bounds becomes their values.

use chrono::{DateTime, Utc};

use super::GoldJob;
use super::sql::outline;
use crate::window::Window;

impl GoldJob {
    /// The same rows as the SELECT gives with the window's bounds as its parameters.
    pub fn filled(&self, window: Window) -> String {
        let mut filled = String::with_capacity(self.sql.len());
        let mut copied = 0;
        for parameter in outline(&self.sql).parameters {
            let bound = match parameter.parameter() {
                "from" => window.from,
                _ => window.to,
            };
            filled.push_str(self.sql.get(copied..parameter.at).unwrap_or_default());
            filled.push_str(&instant(bound));
            copied = parameter.at + parameter.text.len();
        }
        filled.push_str(self.sql.get(copied..).unwrap_or_default());
        filled
    }
}

/// Of the parameter's own type, so that it means the same under every session's zone.
fn instant(at: DateTime<Utc>) -> String {
    format!(
        "toDateTime64('{}', 3, 'UTC')",
        at.format("%Y-%m-%d %H:%M:%S%.3f")
    )
}
