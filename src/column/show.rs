//! Rows as JSON, for people who look at what would be written.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};
use serde_json::{Map, Value, json};

use super::data::span;
use super::{Data, Decimal, Type};

pub(super) fn row(columns: &[(String, Type)], data: &[Data], row: usize) -> String {
    let cells = columns.iter().zip(data);
    let object: Map<String, Value> = cells
        .map(|((name, kind), data)| (name.clone(), cell(kind, data, row)))
        .collect();
    Value::Object(object).to_string()
}

fn cell(kind: &Type, data: &Data, row: usize) -> Value {
    match (kind, data) {
        (Type::Nullable(kind), Data::Nullable { nulls, inner }) => match nulls.get(row) {
            Some(0) => cell(kind, inner, row),
            _ => Value::Null,
        },
        (Type::LowCardinality(kind), data) => cell(kind, data, row),
        (Type::Array(kind), Data::Array { ends, inner }) => span(ends, row)
            .map(|element| cell(kind, inner, element))
            .collect(),
        (kind, data) => plain(kind, data.cell(row).unwrap_or_default()),
    }
}

/// A cell that is neither NULL nor an array, by its own bytes.
pub(super) fn cell_of(kind: &Type, bytes: &[u8]) -> Value {
    match kind {
        Type::Nullable(inner) | Type::LowCardinality(inner) => cell_of(inner, bytes),
        kind => plain(kind, bytes),
    }
}

fn plain(kind: &Type, bytes: &[u8]) -> Value {
    let signed = || {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 16] } else { [0; 16] };
        for (to, from) in wide.iter_mut().zip(bytes) {
            *to = *from;
        }
        i128::from_le_bytes(wide)
    };
    let integer = || i64::try_from(signed()).unwrap_or_default();
    match kind {
        Type::Bool => json!(bytes == [1]),
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => json!(integer()),
        Type::UInt8 | Type::UInt16 | Type::UInt32 | Type::UInt64 => {
            let mut wide = [0; 8];
            for (to, from) in wide.iter_mut().zip(bytes) {
                *to = *from;
            }
            json!(u64::from_le_bytes(wide))
        }
        Type::Float32 => {
            let value = f32::from_le_bytes(bytes.try_into().unwrap_or_default());
            float(f64::from(value), value.to_string())
        }
        Type::Float64 => {
            let value = f64::from_le_bytes(bytes.try_into().unwrap_or_default());
            float(value, value.to_string())
        }
        Type::Decimal { scale, .. } => {
            let big_endian: Vec<u8> = bytes.iter().rev().copied().collect();
            match Decimal::from_bytes(&big_endian, i64::from(*scale)) {
                Ok(decimal) => json!(decimal.show()),
                Err(_) => Value::Null,
            }
        }
        Type::Uuid => {
            let (high, low) = bytes.split_at_checked(8).unwrap_or_default();
            let text: Vec<u8> = high.iter().rev().chain(low.iter().rev()).copied().collect();
            json!(
                uuid::Uuid::from_slice(&text)
                    .unwrap_or_default()
                    .to_string()
            )
        }
        Type::Date => {
            let days = bytes.try_into().map(u16::from_le_bytes);
            day(i64::from(days.unwrap_or_default()))
        }
        Type::Date32 => day(integer()),
        Type::DateTime { .. } => {
            let seconds = bytes.try_into().map(u32::from_le_bytes);
            instant(i128::from(seconds.unwrap_or_default()), 0)
        }
        Type::DateTime64 { precision, .. } => instant(signed(), *precision),
        Type::Time64 { precision } => time_of_day(signed(), *precision),
        _ => json!(String::from_utf8_lossy(bytes)),
    }
}

fn float(value: f64, text: String) -> Value {
    match text.parse().ok().and_then(serde_json::Number::from_f64) {
        Some(number) if value.is_finite() => Value::Number(number),
        _ => Value::String(text),
    }
}

fn day(days: i64) -> Value {
    let date =
        TimeDelta::try_days(days).and_then(|days| NaiveDate::default().checked_add_signed(days));
    json!(date.map(|date| date.to_string()))
}

/// Nanoseconds from ticks of `10^-precision` seconds.
fn nanos(ticks: i128, precision: u8) -> (i64, u32) {
    let nanos = ticks * 10_i128.pow(9_u32.saturating_sub(u32::from(precision)));
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default();
    (seconds, nanos.rem_euclid(1_000_000_000) as u32)
}

fn instant(ticks: i128, precision: u8) -> Value {
    let (seconds, nanos) = nanos(ticks, precision);
    let digits = match precision {
        0 => SecondsFormat::Secs,
        1..=3 => SecondsFormat::Millis,
        4..=6 => SecondsFormat::Micros,
        _ => SecondsFormat::Nanos,
    };
    json!(DateTime::from_timestamp(seconds, nanos).map(|time| time.to_rfc3339_opts(digits, true)))
}

fn time_of_day(ticks: i128, precision: u8) -> Value {
    let (seconds, nanos) = nanos(ticks.abs(), precision);
    let sign = if ticks < 0 { "-" } else { "" };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{nanos:09}");
    let fraction = usize::from(9_u8.saturating_sub(precision));
    text.truncate(text.len() - fraction);
    json!(text.trim_end_matches('.'))
}
