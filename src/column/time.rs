//! Dates, instants and times of day: from ISO 8601 text, and between units without losing a digit.

use super::{Fault, Type};

const DAY: i64 = 86_400;

/// Seconds and nanoseconds, since 1970-01-01T00:00:00Z or since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Clock {
    /// In units of `10^-digits` seconds.
    pub(crate) fn ticks(self, digits: u8) -> Result<i64, Fault> {
        let fraction = rescale(i64::from(self.nanos), 9, digits)?;
        let whole = self.seconds.checked_mul(power(digits));
        whole
            .and_then(|whole| whole.checked_add(fraction))
            .ok_or(Fault::OutOfRange)
    }
}

/// Whole seconds since 1970 of a cell of a date or an instant; a date begins at midnight in UTC.
pub(crate) fn seconds_of(kind: &Type, cell: &[u8]) -> Option<i64> {
    match kind {
        Type::Nullable(inner) => seconds_of(inner, cell),
        Type::Date => Some(i64::from(u16::from_le_bytes(cell.try_into().ok()?)) * DAY),
        Type::Date32 => Some(i64::from(i32::from_le_bytes(cell.try_into().ok()?)) * DAY),
        Type::DateTime { .. } => Some(i64::from(u32::from_le_bytes(cell.try_into().ok()?))),
        Type::DateTime64 { precision, .. } => {
            let ticks = i64::from_le_bytes(cell.try_into().ok()?);
            Some(ticks.div_euclid(power(*precision)))
        }
        _ => None,
    }
}

/// From units of `10^-from` seconds to units of `10^-to` seconds, exactly.
pub(crate) fn rescale(value: i64, from: u8, to: u8) -> Result<i64, Fault> {
    match to.checked_sub(from) {
        Some(0) => Ok(value),
        Some(more) => value.checked_mul(power(more)).ok_or(Fault::OutOfRange),
        None => {
            let step = power(from - to);
            match value % step {
                0 => Ok(value / step),
                _ => Err(Fault::PrecisionLoss),
            }
        }
    }
}

/// `10^digits`, for the digits of a second.
pub(crate) fn power(digits: u8) -> i64 {
    10_i64.pow(u32::from(digits))
}

/// Days since 1970-01-01 of `2024-02-29`, with or without a closing `Z`.
pub(crate) fn date(text: &[u8]) -> Result<i64, Fault> {
    let (days, rest) = calendar(text)?;
    match rest {
        b"" | b"Z" => Ok(days),
        _ => Err(Fault::Malformed),
    }
}

/// `2024-02-29T23:59:59.5+02:00`. Text without an offset is UTC, as Debezium counts timestamps without zone.
pub(crate) fn instant(text: &[u8]) -> Result<Clock, Fault> {
    let (days, rest) = calendar(text)?;
    let (b'T' | b' ', rest) = rest.split_first().ok_or(Fault::Malformed)? else {
        return Err(Fault::Malformed);
    };
    let (mut clock, rest) = wall_clock(rest)?;
    if clock.seconds >= DAY {
        return Err(Fault::Malformed);
    }
    clock.seconds += days * DAY - offset(rest)?;
    Ok(clock)
}

/// `23:59:59.5`, `24:00:00`, with `Z` or a zero offset at most: a time of day has no instant to shift.
pub(crate) fn clock(text: &[u8]) -> Result<Clock, Fault> {
    let (clock, rest) = wall_clock(text)?;
    match offset(rest)? {
        0 => Ok(clock),
        _ => Err(Fault::Malformed),
    }
}

fn calendar(text: &[u8]) -> Result<(i64, &[u8]), Fault> {
    if is_infinity(text) {
        return Err(Fault::OutOfRange);
    }
    // ISO 8601 puts a sign before a year of more than four digits or before the year 0: outside every column
    if let Some(b'+' | b'-') = text.first() {
        let plausible = text.len() > 6
            && text
                .get(1..5)
                .is_some_and(|year| year.iter().all(u8::is_ascii_digit));
        return Err(if plausible {
            Fault::OutOfRange
        } else {
            Fault::Malformed
        });
    }
    let year = number::<4>(text, 0)?;
    let month = number::<2>(text, 5)?;
    let day = number::<2>(text, 8)?;
    let dashes = (text.get(4), text.get(7)) == (Some(&b'-'), Some(&b'-'));
    if !dashes {
        return Err(Fault::Malformed);
    }
    Ok((
        civil_days(year, month, day)?,
        text.get(10..).unwrap_or_default(),
    ))
}

fn is_infinity(text: &[u8]) -> bool {
    let bare = text.strip_prefix(b"-").unwrap_or(text);
    bare.eq_ignore_ascii_case(b"infinity")
}

fn wall_clock(text: &[u8]) -> Result<(Clock, &[u8]), Fault> {
    let hour = number::<2>(text, 0)?;
    let minute = number::<2>(text, 3)?;
    if text.get(2) != Some(&b':') {
        return Err(Fault::Malformed);
    }
    let (second, rest) = match text.get(5) {
        Some(b':') => (number::<2>(text, 6)?, text.get(8..).unwrap_or_default()),
        _ => (0, text.get(5..).unwrap_or_default()),
    };
    if hour > 24 || minute > 59 || second > 59 || (hour == 24 && minute + second > 0) {
        return Err(Fault::Malformed);
    }
    let (nanos, rest) = fraction(rest)?;
    if hour == 24 && nanos > 0 {
        return Err(Fault::Malformed);
    }
    let seconds = hour * 3600 + minute * 60 + second;
    Ok((Clock { seconds, nanos }, rest))
}

fn fraction(text: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let Some((b'.' | b',', rest)) = text.split_first() else {
        return Ok((0, text));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(count).ok_or(Fault::Malformed)?;
    if digits.is_empty() {
        return Err(Fault::Malformed);
    }
    if digits.iter().skip(9).any(|digit| *digit != b'0') {
        return Err(Fault::PrecisionLoss);
    }
    let digits = digits
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(9);
    Ok((
        digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')),
        rest,
    ))
}

/// Seconds east of UTC: nothing, `Z`, `+02`, `+02:00`, `+0200` or `+02:00:30`.
fn offset(text: &[u8]) -> Result<i64, Fault> {
    let (sign, digits) = match text {
        b"" | b"Z" | b"z" => return Ok(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(Fault::Malformed),
    };
    let (hours, minutes, seconds) = match digits.len() {
        2 => (number::<2>(digits, 0)?, 0, 0),
        4 => (number::<2>(digits, 0)?, number::<2>(digits, 2)?, 0),
        5 if digits.get(2) == Some(&b':') => (number::<2>(digits, 0)?, number::<2>(digits, 3)?, 0),
        8 => (
            number::<2>(digits, 0)?,
            number::<2>(digits, 3)?,
            number::<2>(digits, 6)?,
        ),
        _ => return Err(Fault::Malformed),
    };
    if hours > 18 || minutes > 59 || seconds > 59 {
        return Err(Fault::Malformed);
    }
    Ok(sign * (hours * 3600 + minutes * 60 + seconds))
}

fn number<const N: usize>(text: &[u8], at: usize) -> Result<i64, Fault> {
    let digits: &[u8; N] = text
        .get(at..at + N)
        .and_then(|digits| digits.try_into().ok())
        .ok_or(Fault::Malformed)?;
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Fault::Malformed);
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Ok(value)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day that the calendar has.
pub(crate) fn civil_days(year: i64, month: i64, day: i64) -> Result<i64, Fault> {
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return Err(Fault::Malformed);
    }
    Ok(days_from_civil(year, month, day))
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
