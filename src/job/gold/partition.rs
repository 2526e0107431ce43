//! One window is one partition: the target's PARTITION BY, and the id that ClickHouse gives a window's partition.

use crate::column::Type;
use crate::window::{Calendar, Grain, Window};

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
        (Type::DateTime { .. } | Type::DateTime64 { .. }, grain) => {
            let function = match grain {
                Grain::Hour => "toStartOfHour",
                Grain::Day => "toDate",
                Grain::Week => "toMonday",
                Grain::Month => "toStartOfMonth",
            };
            Ok(match grain {
                // a plain DateTime in, so that the result is one too and its id counts seconds
                Grain::Hour => format!("{function}(toDateTime({column}, '{zone}'))"),
                _ => format!("{function}({column}, '{zone}')"),
            })
        }
        _ => Err(format!(
            "a {kind} cannot place a row in a window; use Date, Date32, DateTime or DateTime64, not Nullable"
        )),
    }
}

/// `20240331` for dates, Unix seconds for hours.
pub fn partition_id(calendar: Calendar, window: Window) -> String {
    match calendar.grain {
        Grain::Hour => window.from.timestamp().to_string(),
        Grain::Day | Grain::Week | Grain::Month => {
            let local = window.from.with_timezone(&calendar.zone);
            local.format("%Y%m%d").to_string()
        }
    }
}
