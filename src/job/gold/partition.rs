//! One window is one partition: the target's PARTITION BY, and the id that ClickHouse gives a window's partition.

use crate::column::Type;
use crate::window::{Calendar, Grain, Window};

/// What ClickHouse calls the key of a table without partitions.
pub const WHOLE_TABLE: &str = "tuple()";

/// PARTITION BY for a time column (already quoted) of this type; `Err` says why there is none.
pub fn partition_expression(
    calendar: Calendar,
    column: &str,
    kind: &Type,
) -> Result<String, String> {
    let zone = calendar.zone.name();
    match (kind, calendar.grain) {
        (Type::Date | Type::Date32, Grain::Hour) => Err(format!(
            "a {kind} cannot place a row in an hour; use a DateTime"
        )),
        (Type::Date, Grain::Day) => Ok(column.to_owned()),
        (Type::Date32, Grain::Day) => Ok(format!("toDate({column})")),
        (Type::Date | Type::Date32, Grain::Week) => Ok(format!("toMonday(toDate({column}))")),
        (Type::Date | Type::Date32, Grain::Month) => {
            Ok(format!("toStartOfMonth(toDate({column}))"))
        }
        (Type::DateTime { .. } | Type::DateTime64 { .. }, grain) => Ok(match grain {
            // a plain DateTime in, so that the result is one too and its id counts seconds
            Grain::Hour => format!("toStartOfHour(toDateTime({column}, '{zone}'))"),
            Grain::Day => format!("toDate({column}, '{zone}')"),
            Grain::Week => format!("toMonday({column}, '{zone}')"),
            Grain::Month => format!("toStartOfMonth({column}, '{zone}')"),
            Grain::Table => WHOLE_TABLE.to_owned(),
        }),
        _ => Err(format!(
            "a {kind} cannot place a row in a window; use Date, Date32, DateTime or DateTime64, not Nullable"
        )),
    }
}

/// `20240331` for dates, Unix seconds for hours, `all` for a table without partitions.
pub fn partition_id(calendar: Calendar, window: Window) -> String {
    match calendar.grain {
        Grain::Hour => window.from.timestamp().to_string(),
        Grain::Day | Grain::Week | Grain::Month => {
            let local = window.from.with_timezone(&calendar.zone);
            local.format("%Y%m%d").to_string()
        }
        Grain::Table => "all".to_owned(),
    }
}
