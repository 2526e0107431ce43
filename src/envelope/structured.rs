//! Dates and times as Debezium 3.7 writes them under `time.precision.mode=structured`: an object with a field for each part.

use super::fate::Reason;
use super::json::{Cursor, Step};
use super::scalar::integer;
use crate::column::{Clock, civil_days};

const DAY_SECONDS: i64 = 86_400;

/// The parts that a value has; a date lacks the clock's, a time of day the calendar's.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
    nanos: Option<i64>,
    offset: Option<i64>,
    special: Option<i64>,
    other: Option<i64>,
}

/// `{"year":2024,"month":2,"day":29,…}` as days since 1970-01-01.
#[cold]
pub(super) fn days(cursor: &mut Cursor<'_>) -> Step<i64> {
    let parts = Parts::read(cursor)?;
    match parts.hour {
        None => parts.days(),
        Some(_) => Err(Reason::BadValue),
    }
}

/// As an instant where there is a date, else as a time of day.
#[cold]
pub(super) fn clock(cursor: &mut Cursor<'_>) -> Step<Clock> {
    let parts = Parts::read(cursor)?;
    let days = match parts.year {
        Some(_) => parts.days()?,
        None => 0,
    };
    let (Some(hour), Some(minute), Some(second), Some(nanos)) =
        (parts.hour, parts.minute, parts.second, parts.nanos)
    else {
        return Err(Reason::BadValue);
    };
    let plausible = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (hour < 24 || minute + second + nanos == 0);
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| plausible && *nanos < 1_000_000_000)
        .ok_or(Reason::BadValue)?;
    let seconds = hour * 3600 + minute * 60 + second - parts.offset.unwrap_or_default();
    Ok(Clock {
        seconds: days * DAY_SECONDS + seconds,
        nanos,
    })
}

impl Parts {
    fn read(cursor: &mut Cursor<'_>) -> Step<Parts> {
        let mut parts = Parts::default();
        cursor.expect(b'{')?;
        if cursor.eat(b'}') {
            return Err(Reason::BadValue);
        }
        loop {
            let place = match cursor.key()?.raw {
                b"year" => &mut parts.year,
                b"month" => &mut parts.month,
                b"day" => &mut parts.day,
                b"hour" => &mut parts.hour,
                b"minute" => &mut parts.minute,
                b"second" => &mut parts.second,
                b"nanos" => &mut parts.nanos,
                b"offsetSeconds" => &mut parts.offset,
                b"specialValue" => &mut parts.special,
                // `precision`, and the name of a zone whose offset stands beside it
                _ => &mut parts.other,
            };
            *place = Parts::value(cursor)?;
            if !cursor.more(b'}')? {
                break;
            }
        }
        match parts.special {
            None => Ok(parts),
            Some(_) => Err(Reason::OutOfRange), // an infinity
        }
    }

    /// A number of 32 bits, so that no sum of them overflows; 0 for text.
    fn value(cursor: &mut Cursor<'_>) -> Step<Option<i64>> {
        if cursor.null()? {
            return Ok(None);
        }
        match cursor.peek() {
            Some(b'"') => cursor.string().map(|_| Some(0)),
            _ => Ok(Some(integer(cursor, 4, true)? as i64)),
        }
    }

    fn days(&self) -> Step<i64> {
        let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) else {
            return Err(Reason::BadValue);
        };
        Ok(civil_days(year, month, day)?)
    }
}
