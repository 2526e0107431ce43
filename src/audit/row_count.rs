//! How many rows a window may have: by itself, and against an earlier one.

use std::fmt;

use crate::window::{Calendar, Span, Window};

/// Bounds; each of them belongs to what is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowCount {
    pub min: Option<u64>,
    pub max: Option<u64>,
    /// of the rows of the earlier window
    pub min_ratio: Option<Ratio>,
    pub max_ratio: Option<Ratio>,
    /// how much earlier that window begins; none: it is the one before
    pub against: Option<Span>,
}

/// In millionths, so that it compares without rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u64);

const MILLION: f64 = 1e6;
/// Beyond any sense, and far from the end of a u64.
const HIGHEST_RATIO: f64 = 1e9;

/// The rows that readers see of the earlier window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    pub rows: u64,
    /// as people name it
    pub window: String,
}

impl RowCount {
    pub fn compares(&self) -> bool {
        self.min_ratio.is_some() || self.max_ratio.is_some()
    }

    /// The earlier window; a whole table is compared with itself as readers see it now. None where the wall clock has none.
    pub fn earlier(&self, calendar: Calendar, window: Window) -> Option<Window> {
        match self.against {
            _ if !self.compares() => None,
            None => Some(calendar.before(window)),
            Some(span) => {
                let from = span.before(calendar, window.from)?;
                Some(calendar.window_at(from))
            }
        }
    }

    /// Says what is wrong with so many rows. Nothing is so many times nothing: an earlier window without rows is not compared.
    pub fn judge(&self, rows: u64, before: Option<&Before>) -> Option<String> {
        let counted = format!("{rows} row{}", if rows == 1 { "" } else { "s" });
        if let Some(min) = self.min.filter(|min| rows < *min) {
            return Some(format!("{counted}, fewer than {min}"));
        }
        if let Some(max) = self.max.filter(|max| rows > *max) {
            return Some(format!("{counted}, more than {max}"));
        }
        let before = before.filter(|before| before.rows > 0)?;
        let times = |what: &str, ratio: Ratio| {
            format!(
                "{counted}, {what} than {ratio} times the {} of {}",
                before.rows, before.window
            )
        };
        let millionths = u128::from(rows) * 1_000_000;
        let of = |ratio: Ratio| u128::from(ratio.0) * u128::from(before.rows);
        if let Some(ratio) = self.min_ratio.filter(|ratio| millionths < of(*ratio)) {
            return Some(times("fewer", ratio));
        }
        let ratio = self.max_ratio.filter(|ratio| millionths > of(*ratio))?;
        Some(times("more", ratio))
    }
}

impl Ratio {
    pub fn parse(digits: &str) -> Option<Ratio> {
        let ratio: f64 = digits.parse().ok()?;
        let sensible = (0.0..=HIGHEST_RATIO).contains(&ratio);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1e15"
        )]
        sensible.then(|| Ratio((ratio * MILLION).round() as u64))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
        let ratio = self.0 as f64 / MILLION;
        write!(f, "{ratio}")
    }
}
