//! A span of time as people write it, such as `7d`: a whole number of hours, days, weeks or months of the wall clock.

use std::fmt;

use chrono::{DateTime, Days, Duration, Months, Utc};

use super::{Calendar, Grain, Window, first_instant, midnight};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    number: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Hours,
    Days,
    Weeks,
    Months,
}

const UNITS: [(&str, Unit); 4] = [
    ("h", Unit::Hours),
    ("d", Unit::Days),
    ("w", Unit::Weeks),
    ("mo", Unit::Months),
];

impl Span {
    pub fn parse(text: &str) -> Option<Span> {
        let letters = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u32 = text.strip_suffix(letters)?.parse().ok()?;
        let (_, unit) = UNITS.iter().find(|(word, _)| *word == letters)?;
        Some(Span {
            number,
            unit: *unit,
        })
    }

    pub fn is_empty(self) -> bool {
        self.number == 0
    }

    /// Whether it is a whole number of windows wherever it begins: a month is no whole number of weeks.
    pub fn fits(self, grain: Grain) -> bool {
        match (grain, self.unit) {
            (Grain::Hour, _) | (Grain::Week, Unit::Weeks) | (Grain::Month, Unit::Months) => true,
            (Grain::Day, unit) => unit != Unit::Hours,
            (Grain::Week, Unit::Days) => self.number.is_multiple_of(7),
            (Grain::Week | Grain::Month | Grain::Table, _) => false,
        }
    }

    /// The instant so long before an edge of a window, by the wall clock; none where it is no edge itself.
    pub fn before(self, calendar: Calendar, edge: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = edge.with_timezone(&calendar.zone).naive_local();
        let wall = match calendar.grain {
            Grain::Hour => wall,
            // a day whose midnight the zone left out begins at 01:00, and those before it do not
            _ => midnight(wall.date()),
        };
        let earlier = match self.unit {
            Unit::Hours if calendar.grain == Grain::Hour => {
                return edge.checked_sub_signed(Duration::hours(i64::from(self.number)));
            }
            Unit::Hours => None,
            Unit::Days => wall.checked_sub_days(Days::new(u64::from(self.number))),
            Unit::Weeks => wall.checked_sub_days(Days::new(u64::from(self.number) * 7)),
            Unit::Months => wall.checked_sub_months(Months::new(self.number)),
        };
        let instant = first_instant(calendar.zone, earlier?);
        calendar.is_edge(instant).then_some(instant)
    }
}

impl Calendar {
    /// The windows that begin within a span before this one, oldest first, this one last.
    pub fn looking_back(&self, window: Window, span: Span) -> Vec<Window> {
        let Some(from) = span.before(*self, window.from) else {
            return vec![window];
        };
        let windows = std::iter::successors(Some(self.window_at(from)), |w| Some(self.after(*w)));
        windows.take_while(|w| w.from <= window.from).collect()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = UNITS.iter().find(|(_, unit)| *unit == self.unit);
        write!(f, "{}{}", self.number, word.map_or("", |(word, _)| word))
    }
}
