//! Reads a gold job's pair of files into a [`GoldJob`], reporting every fault of both.

use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::sql::{PARAMETER_TYPE, outline, wrong_parameter};
use super::{Dependency, GoldJob, STAGING_INFIX, When};
use crate::audit;
use crate::cron::Schedule;
use crate::document::Section;
use crate::fault::Faults;
use crate::window::{Calendar, Grain, Span};

/// A source that is silent for longer than this is somebody's problem, not a wait.
const DEFAULT_GRACE: Duration = Duration::from_secs(6 * 60 * 60);

/// What a gold job is read from, besides its TOML.
pub(in crate::job) struct Declaration<'a> {
    pub name: &'a str,
    pub sql_file: &'a Path,
    /// none: there is no such file
    pub sql: Option<&'a str>,
    /// the zone of jobs that name none
    pub zone: Tz,
    pub faults: &'a Faults,
}

/// `None` where so much is missing that there is no job to speak of; the faults say why.
pub(in crate::job) fn read(declared: &Declaration<'_>, root: Section<'_>) -> Option<GoldJob> {
    if root.text("grain").is_none() {
        root.required_text("grain");
    }
    let grain = root.choice("grain", &Grain::WORDS);
    let time_column = time_column(&root, grain);
    let zone = zone(&root, declared.zone);
    let order_by = root.texts("order_by");
    if order_by.is_empty() {
        root.fault(
            0,
            "`order_by` is missing: the columns that the target is sorted by",
        );
    }
    let schedule = schedule(&root);
    let grace = root.duration("grace").unwrap_or(DEFAULT_GRACE);
    let lookback = lookback(&root, grain);
    let depends_on = dependencies(&root);
    let tags = tags(&root);
    let folder = declared.sql_file.parent().unwrap_or(Path::new(""));
    let audits = audit::read(&root, folder, grain, declared.faults);
    if declared.name.contains(STAGING_INFIX) {
        root.fault(
            0,
            format!("a gold job's name cannot contain `{STAGING_INFIX}`"),
        );
    }
    let calendar = grain.map(|grain| Calendar { grain, zone });
    if let Some(calendar) = calendar
        && calendar.grain == Grain::Hour
        && !calendar.cuts_whole_hours()
    {
        let message =
            format!("the clocks of {zone} move by less than an hour: hours cannot be its windows");
        root.fault(root.text("zone").map_or(0, |zone| zone.line), message);
    }
    let sql = select(declared, grain);
    root.finish();
    let mut job = GoldJob {
        name: declared.name.to_owned(),
        calendar: calendar?,
        time_column: match grain? {
            Grain::Table => None,
            _ => Some(time_column?),
        },
        order_by: order_by.into_iter().map(|column| column.value).collect(),
        schedule,
        grace,
        lookback,
        depends_on,
        tags,
        audits,
        sql: sql?,
        sql_hash: String::new(),
    };
    job.sql_hash = fingerprint(&job);
    Some(job)
}

/// Every row of a whole table lies in its one window, so that no column has to say which.
fn time_column(root: &Section<'_>, grain: Option<Grain>) -> Option<String> {
    if grain != Some(Grain::Table) {
        return root.required_text("time_column").map(|text| text.value);
    }
    if let Some(text) = root.text("time_column") {
        root.fault(
            text.line,
            "`time_column`: the whole table is one window, no column places a row in it; leave it out",
        );
    }
    None
}

fn lookback(root: &Section<'_>, grain: Option<Grain>) -> Option<Span> {
    let text = root.text("lookback")?;
    let grain = grain?;
    let message = match Span::parse(&text.value) {
        Some(span) if span.fits(grain) && !span.is_empty() => return Some(span),
        _ if grain == Grain::Table => {
            "`lookback`: the whole table is one window, there is none before it".to_owned()
        }
        Some(span) => {
            format!(
                "`lookback`: {span} is no whole number of windows of one {grain}, such as 3d for days"
            )
        }
        None => format!(
            "`lookback`: `{}` is no span of time; write a number and h, d, w or mo, such as 3d",
            text.value
        ),
    };
    root.fault(text.line, message);
    None
}

fn tags(root: &Section<'_>) -> Vec<String> {
    let mut tags = Vec::new();
    for text in root.texts("tags") {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        if text.value.is_empty() || !text.value.chars().all(plain) {
            let message = format!(
                "`tags`: `{}`: a tag holds letters, digits, `_`, `-`, `.` and `/`, so that `--select tag:…` can name it",
                text.value
            );
            root.fault(text.line, message);
        }
        tags.push(text.value);
    }
    tags
}

fn zone(root: &Section<'_>, default: Tz) -> Tz {
    let Some(text) = root.text("zone") else {
        return default;
    };
    text.value.parse().unwrap_or_else(|_| {
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let near = crate::fault::suggestion(&text.value, known);
        root.fault(
            text.line,
            format!("`{}` is no known time zone{near}", text.value),
        );
        default
    })
}

fn schedule(root: &Section<'_>) -> Option<When> {
    let line = root.text("schedule")?;
    if line.value == When::ON_CHANGE {
        return Some(When::OnChange);
    }
    match Schedule::parse(&line.value) {
        Ok(schedule) => Some(When::Cron(schedule)),
        Err(reason) => {
            root.fault(line.line, format!("`schedule`: {reason}"));
            None
        }
    }
}

fn dependencies(root: &Section<'_>) -> Vec<Dependency> {
    let mut found = Vec::new();
    for text in root.texts("depends_on") {
        match text.value.split_once('.') {
            Some(("silver", name)) => found.push(Dependency::Silver(name.to_owned())),
            Some(("gold", name)) => found.push(Dependency::Gold(name.to_owned())),
            _ => {
                let message = format!(
                    "`depends_on`: `{}` names no job; write silver.<name> or gold.<name>",
                    text.value
                );
                root.fault(text.line, message);
            }
        }
    }
    found
}

/// The job's one SELECT, with both of its parameters where it has windows.
fn select(declared: &Declaration<'_>, grain: Option<Grain>) -> Option<String> {
    let fault =
        |line: usize, message: String| declared.faults.add(declared.sql_file, line, message);
    let Some(text) = declared.sql else {
        fault(
            0,
            "is missing: it holds the SELECT of one window".to_owned(),
        );
        return None;
    };
    let found = outline(text);
    if found.statements != 1 {
        fault(
            0,
            format!(
                "holds {} statements; a gold job is one SELECT",
                found.statements
            ),
        );
        return None;
    }
    if !matches!(found.first_word.as_str(), "SELECT" | "WITH") {
        fault(
            0,
            format!("begins with {}; a gold job is one SELECT", found.first_word),
        );
    }
    for parameter in &found.parameters {
        if let Some(message) = wrong_parameter(parameter, "`from` and `to`") {
            fault(parameter.line, message);
        }
    }
    for name in ["from", "to"] {
        let used = found
            .parameters
            .iter()
            .any(|parameter| parameter.parameter() == name);
        if !used && grain != Some(Grain::Table) {
            fault(
                0,
                format!(
                    "never uses {{{name}:{PARAMETER_TYPE}}}, so a window would read everything"
                ),
            );
        }
    }
    text.get(..found.end).map(str::to_owned)
}

/// Builds under the same hash give the same table from the same input.
fn fingerprint(job: &GoldJob) -> String {
    let mut digest = Sha256::new();
    for part in [
        job.sql.as_str(),
        &job.calendar.grain.to_string(),
        job.calendar.zone.name(),
        job.time_column.as_deref().unwrap_or_default(),
    ] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
