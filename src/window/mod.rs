//! Windows `[from, to)`: how a time zone's wall clock cuts time into hours, days, weeks and months.
//!
//! ```text
//! wall clock   …── 00:00 ────── 00:00 ────── 00:00 ──…      in the job's zone
//! instants          from          to                         a day is 23, 24 or 25 h long
//! ```

mod bucket;
mod range;
mod span;

use std::fmt;

use chrono::{
    DateTime, Datelike, Days, Duration, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime,
    Offset, SecondsFormat, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

pub use bucket::Bucket;
pub use range::{Bounds, Limits, MOST_WINDOWS, Range, instant};
pub use span::Span;

/// How much time one window, and so one partition of the target, covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grain {
    Hour,
    Day,
    Week,
    Month,
    /// all of it at once: the target has no partitions, and time no part in it
    Table,
}

impl Grain {
    pub const WORDS: [(&'static str, Grain); 5] = [
        ("hour", Grain::Hour),
        ("day", Grain::Day),
        ("week", Grain::Week),
        ("month", Grain::Month),
        ("table", Grain::Table),
    ];
}

impl fmt::Display for Grain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Grain::WORDS.iter().find(|(_, grain)| grain == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// `[from, to)`, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Window {
    /// The one window of a whole table: all that ClickHouse's dates reach, so that every row lies in it.
    pub const EVERYTHING: Window = Window {
        from: DateTime::UNIX_EPOCH,
        to: match DateTime::from_timestamp(LAST_SECOND, 0) {
            Some(end) => end,
            None => DateTime::<Utc>::MAX_UTC,
        },
    };

    /// Whether ClickHouse's dates reach it.
    pub fn is_a_partition(&self) -> bool {
        self.from >= Window::EVERYTHING.from && self.to <= Window::EVERYTHING.to
    }
}

/// 2149-01-01T00:00:00Z: ClickHouse's Date ends within that year.
const LAST_SECOND: i64 = 5_648_745_600;

/// The windows of one grain in one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub grain: Grain,
    pub zone: Tz,
}

impl Calendar {
    /// The window that an instant lies in.
    pub fn window_at(&self, instant: DateTime<Utc>) -> Window {
        if self.grain == Grain::Table {
            return Window::EVERYTHING;
        }
        let from = self.start_at(instant);
        let to = self.end_of(from);
        Window { from, to }
    }

    pub fn after(&self, window: Window) -> Window {
        let from = window.to;
        let to = self.end_of(from);
        Window { from, to }
    }

    /// The window before; a whole table has none but itself.
    pub fn before(&self, window: Window) -> Window {
        self.window_at(window.from - Duration::milliseconds(1))
    }

    /// The stretch of time that the input of a window has to have passed: the window itself; for a whole table all time
    /// up to the last midnight, because its input never ends.
    pub fn input_of(&self, window: Window, now: DateTime<Utc>) -> Window {
        if self.grain != Grain::Table {
            return window;
        }
        let midnight = midnight(now.with_timezone(&self.zone).date_naive());
        Window {
            from: window.from,
            to: first_instant(self.zone, midnight),
        }
    }

    pub fn is_edge(&self, instant: DateTime<Utc>) -> bool {
        self.start_at(instant) == instant
    }

    fn start_at(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let local = instant.with_timezone(&self.zone);
        if self.grain == Grain::Hour {
            // an hour is counted in elapsed time: the repeated hour of autumn is two windows
            let into = local.minute() * 60 + local.second();
            return instant
                - Duration::seconds(i64::from(into))
                - Duration::nanoseconds(i64::from(local.nanosecond() % 1_000_000_000));
        }
        first_instant(self.zone, midnight(self.first_date(local.date_naive())))
    }

    fn end_of(&self, from: DateTime<Utc>) -> DateTime<Utc> {
        match self.grain {
            Grain::Hour => return from + Duration::hours(1),
            // what comes after everything: walks over windows end here
            Grain::Table => return DateTime::<Utc>::MAX_UTC,
            Grain::Day | Grain::Week | Grain::Month => {}
        }
        let mut date = self.first_date(from.with_timezone(&self.zone).date_naive());
        loop {
            date = self.next_date(date);
            let to = first_instant(self.zone, midnight(date));
            // a date that the zone left out altogether (Apia, 2011-12-30) has no window
            if to > from {
                return to;
            }
        }
    }

    /// First date of the day, week or month that holds `date`.
    fn first_date(&self, date: NaiveDate) -> NaiveDate {
        match self.grain {
            Grain::Hour | Grain::Day | Grain::Table => date,
            Grain::Week => date - Days::new(u64::from(date.weekday().num_days_from_monday())),
            Grain::Month => date.with_day(1).unwrap_or(date),
        }
    }

    fn next_date(&self, date: NaiveDate) -> NaiveDate {
        match self.grain {
            Grain::Hour | Grain::Day | Grain::Table => date + Days::new(1),
            Grain::Week => date + Days::new(7),
            Grain::Month => date + Months::new(1),
        }
    }

    /// How people name the window: `2024-03-31`, `2024-W13 …`, `2024-03`, `2024-03-31T02:00+01:00`.
    pub fn label(&self, window: Window) -> String {
        let local = window.from.with_timezone(&self.zone);
        match self.grain {
            Grain::Hour => local.format("%Y-%m-%dT%H:%M%:z").to_string(),
            Grain::Day => local.format("%Y-%m-%d").to_string(),
            Grain::Week => local.format("week of %Y-%m-%d").to_string(),
            Grain::Month => local.format("%Y-%m").to_string(),
            Grain::Table => "whole table".to_owned(),
        }
    }

    /// An instant of this zone as people read it, with its offset.
    pub fn show(&self, instant: DateTime<Utc>) -> String {
        instant
            .with_timezone(&self.zone)
            .to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// Hours are only cut well where every offset of the zone has the same minutes (Lord Howe moves by 30).
    pub fn cuts_whole_hours(&self) -> bool {
        let minutes = |year: i32, month: u32| {
            let instant = Utc.with_ymd_and_hms(year, month, 15, 0, 0, 0).earliest();
            instant.map(|instant| {
                let offset = self.zone.offset_from_utc_datetime(&instant.naive_utc());
                offset.fix().local_minus_utc().rem_euclid(3600)
            })
        };
        let first = minutes(2000, 1);
        (2000..2040)
            .flat_map(|year| (1..=12).map(move |month| (year, month)))
            .all(|(year, month)| minutes(year, month) == first)
    }
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN)
}

/// Minutes of the longest stretch that a zone ever left out: a whole day, with room.
const LONGEST_GAP: i64 = 26 * 60;

/// The first instant whose wall clock shows `wall`, or, inside a gap, the first instant after the gap.
pub fn first_instant(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    (0..=LONGEST_GAP)
        .find_map(|minutes| {
            let shifted = wall.checked_add_signed(Duration::minutes(minutes))?;
            match zone.from_local_datetime(&shifted) {
                LocalResult::None => None,
                LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => {
                    // seconds into the minute belong to the gap as much as its minutes do
                    let second = if minutes == 0 { 0 } else { shifted.second() };
                    Some(instant.with_timezone(&Utc) - Duration::seconds(i64::from(second)))
                }
            }
        })
        // no zone has a longer gap; reading the wall clock as UTC is then as good as anything
        .unwrap_or_else(|| wall.and_utc())
}

#[cfg(test)]
mod tests;
