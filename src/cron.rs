//! Cron lines as crontabs mean them: five fields, in a zone, with Debian cron's rules for clock changes.
//!
//! ```text
//! fixed hour and minute   inside a gap: once, at the first instant after it; inside a fold: the first time only
//! `*` in hour or minute   follows elapsed time: nothing inside a gap, both passes of a fold
//! ```
//!
//! The `cron` crate parses fields and finds the next matching wall-clock time; what its own iteration makes of zones,
//! weekday numbers and day-or-weekday differs from every crontab and is not used.

use std::str::FromStr as _;

use chrono::{DateTime, Duration, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use crate::window::first_instant;

/// One parsed line.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    /// a restricted day and a restricted weekday mean either of them: two schedules
    alternatives: Vec<cron::Schedule>,
    /// neither the hour nor the minute begins with `*`
    fixed: bool,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Schedule {
    /// Reads a line and makes sure that it can fire at all.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let known = NICKNAMES.iter().find(|(name, _)| *name == text.trim());
        let line = known.map_or(text, |(_, line)| *line);
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "`{text}` has {} fields; a cron line has five: minute hour day month weekday",
                fields.len()
            ));
        };
        for field in [minute, hour, day, month, weekday] {
            if let Some(odd) = field.chars().find(|c| !is_cron(*c)) {
                return Err(format!("`{text}`: `{odd}` means nothing in a cron line"));
            }
        }
        let names = weekday_names(text, weekday)?;
        let build = |day: &str, weekday: &str| {
            let line = format!("0 {minute} {hour} {day} {month} {weekday}");
            cron::Schedule::from_str(&line).map_err(|error| {
                let reason = error.to_string();
                format!(
                    "`{text}`: {}",
                    reason.split_whitespace().collect::<Vec<_>>().join(" ")
                )
            })
        };
        let alternatives = if day.starts_with('*') || weekday.starts_with('*') {
            vec![build(day, &names)?]
        } else {
            vec![build(day, "*")?, build("*", &names)?]
        };
        let schedule = Schedule {
            text: text.trim().to_owned(),
            alternatives,
            fixed: !minute.starts_with('*') && !hour.starts_with('*'),
        };
        // a whole cycle of leap years and weekdays lies between here and the end of the crate's calendar
        let start = NaiveDateTime::default();
        match schedule.next_wall(start) {
            Some(_) => Ok(schedule),
            None => Err(format!("`{text}` never fires: no year has such a day")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first fire after an instant; none when the calendar of the `cron` crate ends (year 2100).
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        if self.fixed {
            self.next_fixed(after, zone)
        } else {
            self.next_elapsed(after, zone)
        }
    }

    fn next_fixed(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut wall = after.with_timezone(&zone).naive_local();
        loop {
            wall = self.next_wall(wall)?;
            let instant = first_instant(zone, wall);
            // the second pass of a fold, and the rest of a gap, were fired before
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// Walks from one change of the zone's offset to the next; between two of them wall and elapsed time agree.
    fn next_elapsed(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut after = after;
        loop {
            let offset = offset_at(zone, after);
            let wall = self.next_wall(after.naive_utc() + offset)?;
            let instant = (wall - offset).and_utc();
            match first_change(zone, after, instant) {
                None => return Some(instant),
                // the change itself may be a match, so the search goes on from just before it
                Some(change) => {
                    let start = change.naive_utc() + offset_at(zone, change);
                    let next = self.next_wall(start - Duration::seconds(1))?;
                    if next == start {
                        return Some(change);
                    }
                    after = change;
                }
            }
        }
    }

    fn next_wall(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.alternatives
            .iter()
            .filter_map(|schedule| schedule.after(&after.and_utc()).next())
            .map(|instant| instant.naive_utc())
            .min()
    }
}

fn is_cron(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '*' | ',' | '-' | '/')
}

fn offset_at(zone: Tz, instant: DateTime<Utc>) -> Duration {
    let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    Duration::seconds(i64::from(offset.local_minus_utc()))
}

/// The first change of offset in `(after, until]`; zones keep an offset for weeks, so days are steps enough.
fn first_change(zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let offset = offset_at(zone, after);
    let mut same = after;
    loop {
        if same >= until {
            return None;
        }
        let step = (same + Duration::days(1)).min(until);
        if offset_at(zone, step) != offset {
            let mut changed = step;
            while changed - same > Duration::seconds(1) {
                let middle = same + Duration::seconds((changed - same).num_seconds() / 2);
                if offset_at(zone, middle) == offset {
                    same = middle;
                } else {
                    changed = middle;
                }
            }
            return Some(changed);
        }
        same = step;
    }
}

/// `1-5`, `0`, `7`, `mon-fri`, `*/2` as names that mean the same everywhere.
fn weekday_names(text: &str, field: &str) -> Result<String, String> {
    if field == "*" {
        return Ok("*".to_owned());
    }
    let wrong = |part: &str| {
        format!("`{text}`: `{part}` is no weekday; write 0-7 or sun-sat, 0 and 7 are Sunday")
    };
    let mut chosen = [false; 7];
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            None => (part, 1),
            Some((span, step)) => {
                let step: usize = step.parse().map_err(|_| wrong(part))?;
                (span, step)
            }
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (0, 6),
            None => {
                let day = weekday(span).ok_or_else(|| wrong(part))?;
                (day, if step > 1 { 6 } else { day })
            }
            Some((first, last)) => {
                let first = weekday(first).ok_or_else(|| wrong(part))?;
                let last = weekday(last).ok_or_else(|| wrong(part))?;
                (first, last)
            }
        };
        if step == 0 || first > last {
            return Err(wrong(part));
        }
        for day in (first..=last).step_by(step) {
            chosen[day % 7] = true;
        }
    }
    let names: Vec<_> = WEEKDAYS
        .iter()
        .zip(chosen)
        .filter_map(|(name, chosen)| chosen.then_some(*name))
        .collect();
    Ok(names.join(","))
}

fn weekday(text: &str) -> Option<usize> {
    let name = text.to_ascii_lowercase();
    match WEEKDAYS.iter().position(|known| *known == name) {
        Some(day) => Some(day),
        None => text.parse().ok().filter(|day| *day <= 7),
    }
}

#[cfg(test)]
mod tests;
