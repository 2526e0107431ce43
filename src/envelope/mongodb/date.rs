//! BSON dates: milliseconds since 1970, spelled.

use chrono::{DateTime, SecondsFormat, Utc};

use super::super::fate::Reason;
use super::super::json::Step;
use crate::column;

const DAY_MILLIS: i64 = 86_400_000;
/// 10000-01-01: relaxed Extended JSON spells the years 1970 to 9999.
const RELAXED_END: i64 = 253_402_300_800_000;

pub(super) fn parse(text: &[u8]) -> Step<i64> {
    let clock = column::instant(text).map_err(|_| Reason::BadDocument)?;
    clock.ticks(3).map_err(|_| Reason::BadDocument)
}

/// Appends `{"$date":…}`.
pub(super) fn relaxed(millis: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"$date\":");
    match instant(millis).filter(|_| (0..RELAXED_END).contains(&millis)) {
        Some(text) => out.extend_from_slice(format!("\"{text}\"}}").as_bytes()),
        None => out.extend_from_slice(format!("{{\"$numberLong\":\"{millis}\"}}}}").as_bytes()),
    }
}

/// ISO 8601, where that reaches so far.
pub(super) fn instant(millis: i64) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(millis)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The day that begins at this instant.
pub(super) fn day(millis: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis).filter(|_| millis % DAY_MILLIS == 0)?;
    Some(time.format("%Y-%m-%d").to_string())
}
