//! Which windows a command means.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::error::{Error, Kind, Result};
use crate::job::GoldJob;
use crate::window::{Calendar, Grain, Limits, Range, Window, instant};

/// A bound that may be missing.
type Open = Option<DateTime<Utc>>;

/// Which windows: dates mean the job's zone, instants with an offset are exact.
#[derive(clap::Args)]
pub struct RangeArgs {
    /// The windows of one date, such as 2024-03-31
    #[arg(long, conflicts_with_all = ["from", "to", "through", "last"])]
    date: Option<String>,
    /// First instant of the range
    #[arg(long, value_name = "WHEN", conflicts_with = "last")]
    from: Option<String>,
    /// First instant after the range: [from, to)
    #[arg(
        long,
        value_name = "WHEN",
        requires = "from",
        conflicts_with = "through"
    )]
    to: Option<String>,
    /// Last window of the range
    #[arg(long, value_name = "WHEN", requires = "from")]
    through: Option<String>,
    /// The last complete windows, such as 7d, 24h, 4w or 3mo
    #[arg(long, value_name = "SPAN")]
    last: Option<String>,
    /// More than 4,000 windows are meant
    #[arg(long)]
    allow_large: bool,
    /// Build a window that has not ended yet
    #[arg(long)]
    allow_incomplete: bool,
    /// Build the windows before the range too that each job's `lookback` names, as --last does
    #[arg(long)]
    lookback: bool,
}

impl RangeArgs {
    /// Each job with its windows, oldest first; all of them are resolved before any SQL.
    pub fn windows<'j>(&self, jobs: &'j [GoldJob]) -> Result<Vec<(&'j GoldJob, Vec<Window>)>> {
        let only_tables = jobs.iter().all(GoldJob::is_whole_table);
        let resolve = |job: &'j GoldJob| match job.is_whole_table() {
            // a range is for the other jobs of the selection, and refused where there is none
            true if !only_tables || !self.is_given() => Ok((job, vec![Window::EVERYTHING])),
            _ => Ok((job, self.windows_of(job)?)),
        };
        jobs.iter().map(resolve).collect()
    }

    fn windows_of(&self, job: &GoldJob) -> Result<Vec<Window>> {
        let range = self.range()?;
        let windows = range.windows(job.calendar, self.limits())?;
        match windows.split_first() {
            Some((first, rest)) if self.lookback || matches!(range, Range::Last(_)) => {
                let mut all = job.looking_back(*first);
                all.extend(rest);
                Ok(all)
            }
            _ => Ok(windows),
        }
    }

    pub fn is_given(&self) -> bool {
        let given = [&self.date, &self.from, &self.to, &self.through, &self.last];
        given.into_iter().any(Option::is_some)
    }

    pub fn range(&self) -> Result<Range> {
        let text = |option: &Option<String>| option.clone();
        match (text(&self.date), text(&self.from), text(&self.last)) {
            (Some(date), ..) => Ok(Range::Date(date)),
            (_, _, Some(last)) => Ok(Range::Last(last)),
            (_, Some(from), _) => match (text(&self.to), text(&self.through)) {
                (Some(to), _) => Ok(Range::HalfOpen { from, to }),
                (_, Some(through)) => Ok(Range::Through { from, through }),
                _ => Err(usage("--from needs --to or --through")),
            },
            _ => Err(usage(
                "which windows? give --date, --from with --to or --through, or --last",
            )),
        }
    }

    /// The same as instants, for what has no windows: days of the zone, or the instants as they stand. Either may be open.
    pub fn bounds(&self, zone: Tz) -> Result<(Open, Open)> {
        if self.date.is_none() && self.last.is_none() && self.through.is_none() {
            let at = |option: &str, text: &Option<String>| {
                let text = text.as_deref();
                text.map(|text| instant(option, text, zone)).transpose()
            };
            return Ok((at("--from", &self.from)?, at("--to", &self.to)?));
        }
        let days = Calendar {
            grain: Grain::Day,
            zone,
        };
        let limits = Limits {
            incomplete: true,
            large: true,
            ..self.limits()
        };
        let windows = self.range()?.windows(days, limits)?;
        let first = windows.first().map(|window| window.from);
        Ok((first, windows.last().map(|window| window.to)))
    }

    pub fn limits(&self) -> Limits {
        Limits {
            now: Utc::now(),
            incomplete: self.allow_incomplete,
            large: self.allow_large,
        }
    }
}

fn usage(message: &str) -> Error {
    Error::new(Kind::Usage, message)
        .advise("such as --date 2024-03-31, or --from 2024-03-01 --to 2024-04-01")
}
