//! What `--date`, `--from/--to`, `--through` and `--last` mean, and every range that is refused.

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use chrono_tz::Tz;

use super::{Calendar, Grain, Span, Window, first_instant, midnight};
use crate::error::{Error, Kind, Result};

/// Ten years of days: more than that in one command is a slip of the pen unless said otherwise.
pub const MOST_WINDOWS: usize = 4_000;
/// ClickHouse's Date counts from 1970 in two bytes.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2148;

/// A range as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// the windows of one date
    Date(String),
    /// `[from, to)`
    HalfOpen { from: String, to: String },
    /// up to and with the window of `through`
    Through { from: String, through: String },
    /// the last complete windows, such as `7d`
    Last(String),
}

/// What a range may reach: nothing after `now`, unless asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub now: DateTime<Utc>,
    /// build a window that is still in progress
    pub incomplete: bool,
    pub large: bool,
}

/// A resolved range, on window edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Range {
    /// The windows of this range, oldest first, never none.
    pub fn windows(&self, calendar: Calendar, limits: Limits) -> Result<Vec<Window>> {
        if calendar.grain == Grain::Table {
            return Err(usage(format!(
                "{self}: the whole table is one window, and no range"
            ))
            .advise("leave the range out: `bullion gold JOB` builds the table anew"));
        }
        let bounds = self.bounds(calendar, limits.now)?;
        self.refuse_senseless(calendar, bounds, limits)?;
        let most = if limits.large {
            usize::MAX
        } else {
            MOST_WINDOWS
        };
        let mut windows = Vec::new();
        let mut window = calendar.window_at(bounds.from);
        while window.from < bounds.to {
            if windows.len() == most {
                return Err(usage(format!(
                    "{self} is more than {MOST_WINDOWS} windows of one {}",
                    calendar.grain
                ))
                .advise("if that is meant, add --allow-large"));
            }
            windows.push(window);
            window = calendar.after(window);
        }
        Ok(windows)
    }

    fn bounds(&self, calendar: Calendar, now: DateTime<Utc>) -> Result<Bounds> {
        match self {
            Range::Date(text) => {
                let date = parse_date("--date", text)?;
                let from = calendar
                    .window_at(first_instant(calendar.zone, midnight(date)))
                    .from;
                let last = first_instant(calendar.zone, midnight(date + Days::new(1)));
                let to = calendar
                    .window_at(last - Duration::milliseconds(1))
                    .to
                    .max(from);
                Ok(Bounds { from, to })
            }
            Range::HalfOpen { from, to } => Ok(Bounds {
                from: edge("--from", from, calendar)?,
                to: edge("--to", to, calendar)?,
            }),
            Range::Through { from, through } => {
                let from = edge("--from", from, calendar)?;
                let to = match point("--through", through)? {
                    Point::Date(date) => {
                        let after = first_instant(calendar.zone, midnight(date + Days::new(1)));
                        calendar.window_at(after - Duration::milliseconds(1)).to
                    }
                    Point::Instant(_) => {
                        let start = edge("--through", through, calendar)?;
                        calendar.window_at(start).to
                    }
                };
                Ok(Bounds { from, to })
            }
            Range::Last(text) => last(text, calendar, now),
        }
    }

    fn refuse_senseless(&self, calendar: Calendar, bounds: Bounds, limits: Limits) -> Result<()> {
        let Bounds { from, to } = bounds;
        let show = |instant| calendar.show(instant);
        if from == to {
            return Err(usage(format!(
                "{self} is a range of no width: from and to are both {}",
                show(from)
            ))
            .advise(
                "a range is half-open, [from, to). In Airflow 3 a cron string gives data_interval_start == \
data_interval_end: use schedule=CronDataIntervalTimetable(…), or pass --date",
            ));
        }
        if from > to {
            return Err(usage(format!(
                "{self} is reversed: it begins at {} and ends at {}",
                show(from),
                show(to)
            ))
            .advise("exchange the two"));
        }
        if from > limits.now {
            return Err(usage(format!(
                "{self} lies in the future: it begins at {}",
                show(from)
            ))
            .advise("check the year"));
        }
        let newest = calendar.window_at(to - Duration::milliseconds(1));
        if newest.from > limits.now {
            return Err(usage(format!(
                "{self} reaches into the future: its last window begins at {}",
                show(newest.from)
            ))
            .advise("end it at the last complete window"));
        }
        if newest.to > limits.now && !limits.incomplete {
            return Err(usage(format!(
                "{self}: window {} has not ended yet, it ends at {}",
                calendar.label(newest),
                show(newest.to)
            ))
            .advise(
                "end it one window earlier, or add --allow-incomplete and build it again later",
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Range::Date(date) => write!(f, "--date {date}"),
            Range::HalfOpen { from, to } => write!(f, "--from {from} --to {to}"),
            Range::Through { from, through } => write!(f, "--from {from} --through {through}"),
            Range::Last(last) => write!(f, "--last {last}"),
        }
    }
}

enum Point {
    Date(NaiveDate),
    Instant(DateTime<Utc>),
}

/// Where a bound stands; it has to be a window's edge.
fn edge(option: &str, text: &str, calendar: Calendar) -> Result<DateTime<Utc>> {
    let instant = match point(option, text)? {
        Point::Date(date) => first_instant(calendar.zone, midnight(date)),
        Point::Instant(instant) => instant,
    };
    if calendar.is_edge(instant) {
        return Ok(instant);
    }
    let around = calendar.window_at(instant);
    Err(usage(format!(
        "{option} {text} is not on the edge of a window of one {} in {}: the nearest are {} and {}",
        calendar.grain,
        calendar.zone,
        calendar.show(around.from),
        calendar.show(around.to)
    ))
    .advise("move it to an edge; a job's `zone` decides where its windows begin"))
}

/// An instant as it was typed: RFC 3339, or a date, which means its first moment in `zone`.
pub fn instant(option: &str, text: &str, zone: Tz) -> Result<DateTime<Utc>> {
    Ok(match point(option, text)? {
        Point::Date(date) => first_instant(zone, midnight(date)),
        Point::Instant(instant) => instant,
    })
}

fn point(option: &str, text: &str) -> Result<Point> {
    if !text.contains(['T', ' ']) {
        return parse_date(option, text).map(Point::Date);
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => {
            let instant = instant.with_timezone(&Utc);
            in_calendar(option, text, instant.date_naive())?;
            Ok(Point::Instant(instant))
        }
        Err(error) => Err(usage(format!("{option} {text} is no instant: {error}")).advise(
            "write a date such as 2024-03-31, or an instant with its offset such as 2024-03-31T00:00:00+01:00",
        )),
    }
}

fn parse_date(option: &str, text: &str) -> Result<NaiveDate> {
    let shape = text.len() == "2024-03-31".len();
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(date) if shape => {
            in_calendar(option, text, date)?;
            Ok(date)
        }
        _ => Err(usage(format!("{option} {text} is no date of the calendar"))
            .advise("write year-month-day, such as 2024-03-31, or an instant with its offset")),
    }
}

fn in_calendar(option: &str, text: &str, date: NaiveDate) -> Result<()> {
    use chrono::Datelike as _;
    if (FIRST_YEAR..=LAST_YEAR).contains(&date.year()) {
        return Ok(());
    }
    Err(usage(format!(
        "{option} {text}: ClickHouse's dates reach from {FIRST_YEAR} to {LAST_YEAR}"
    ))
    .advise("check the year"))
}

/// The windows that ended at or before now, back by a whole number of days (hours, weeks, months).
fn last(text: &str, calendar: Calendar, now: DateTime<Utc>) -> Result<Bounds> {
    let span = Span::parse(text).ok_or_else(|| {
        usage(format!("--last {text} is no span of time"))
            .advise("write a number and h, d, w or mo, such as 7d")
    })?;
    let to = calendar.window_at(now).from;
    match span.before(calendar, to) {
        Some(from) => {
            in_calendar("--last", text, from.date_naive())?;
            Ok(Bounds { from, to })
        }
        _ => Err(usage(format!(
            "--last {text} is no whole number of windows of one {}",
            calendar.grain
        ))
        .advise("use the unit of the job's grain")),
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}
