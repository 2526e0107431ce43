//! `[[audits]]` of a gold job's file, every fault of all of them reported.

use std::path::{Component, Path};

use super::{Audit, Check, Ratio, RowCount, STAGING, Severity};
use crate::document::{Scalar, Section};
use crate::fault::{Faults, suggestion};
use crate::job::sql;
use crate::window::{Grain, Span};

/// What an audit can ask; each asks one of them.
const QUESTIONS: [&str; 7] = [
    "not_null",
    "unique",
    "accepted_values",
    "range",
    "row_count",
    "sql",
    "sql_file",
];

/// Where audits stand.
struct Place<'a> {
    /// of the job's file: `sql_file` is looked for below it
    folder: &'a Path,
    grain: Option<Grain>,
    faults: &'a Faults,
}

pub(crate) fn read(
    root: &Section<'_>,
    folder: &Path,
    grain: Option<Grain>,
    faults: &Faults,
) -> Vec<Audit> {
    let place = Place {
        folder,
        grain,
        faults,
    };
    let mut audits: Vec<Audit> = Vec::new();
    for section in root.sections("audits") {
        let line = section.line();
        let Some(audit) = place.audit(section) else {
            continue;
        };
        if audits.iter().any(|other| other.name == audit.name) {
            let message = format!(
                "two audits are called `{}`: what they find could not be told apart",
                audit.name
            );
            root.fault(line, message);
        }
        audits.push(audit);
    }
    audits
}

impl Place<'_> {
    fn audit(&self, section: Section<'_>) -> Option<Audit> {
        let name = section.required_text("name");
        let severity = section.choice("severity", &Severity::WORDS);
        let asked: Vec<&'static str> = QUESTIONS
            .into_iter()
            .filter(|question| section.has(question))
            .collect();
        if asked.len() != 1 {
            let found = match asked.as_slice() {
                [] => "none".to_owned(),
                several => format!("`{}`", several.join("`, `")),
            };
            let message = format!(
                "an audit asks one of `{}`; this one has {found}",
                QUESTIONS.join("`, `")
            );
            section.fault(section.line(), message);
        }
        // all of them are read, so that their faults are told, too
        let checks: Vec<Option<Check>> = asked
            .iter()
            .map(|question| self.check(question, &section))
            .collect();
        section.finish();
        Some(Audit {
            name: name?.value,
            severity: severity.unwrap_or(Severity::Block),
            check: checks.into_iter().next()??,
        })
    }

    fn check(&self, question: &str, section: &Section<'_>) -> Option<Check> {
        match question {
            "not_null" => columns(section, "not_null").map(Check::NotNull),
            "unique" => columns(section, "unique").map(Check::Unique),
            "accepted_values" => accepted(section.section("accepted_values")?),
            "range" => range(section.section("range")?),
            "row_count" => self.row_count(section.section("row_count")?),
            "sql" => {
                let sql = section.text("sql")?;
                let fault = |_: usize, message: String| section.fault(sql.line, message);
                select(&sql.value, fault).map(Check::Sql)
            }
            _ => self.file(section),
        }
    }

    /// A SELECT in a file of its own, below the folder of the job files.
    fn file(&self, section: &Section<'_>) -> Option<Check> {
        let path = section.text("sql_file")?;
        let inside = Path::new(&path.value)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            let message = format!(
                "`audits.sql_file`: `{}` is no path below the folder of the job's file",
                path.value
            );
            section.fault(path.line, message);
            return None;
        }
        let file = self.folder.join(&path.value);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let fault = |line: usize, message: String| self.faults.add(&file, line, message);
                select(&text, fault).map(Check::Sql)
            }
            Err(error) => {
                let beside = sql_files(&file, &path.value);
                let near = suggestion(&path.value, beside.iter().map(String::as_str));
                let message = format!(
                    "`audits.sql_file`: cannot read `{}`{near}: {error}",
                    path.value
                );
                section.fault(path.line, message);
                None
            }
        }
    }

    fn row_count(&self, section: Section<'_>) -> Option<Check> {
        let count = |key| {
            let found = section.integer(key)?;
            let count = u64::try_from(found.value).ok();
            if count.is_none() {
                section.fault(
                    found.line,
                    format!("`audits.row_count.{key}` counts rows: 0 or more"),
                );
            }
            count
        };
        let ratio = |key| {
            let found = section.scalar(key)?;
            let ratio = match &found.value {
                Scalar::Number(digits) => Ratio::parse(digits),
                _ => None,
            };
            if ratio.is_none() {
                let message = format!(
                    "`audits.row_count.{key}` is how many times the rows of the window before, such as 0.5"
                );
                section.fault(found.line, message);
            }
            ratio
        };
        let bounds = ["min", "max", "min_ratio", "max_ratio"];
        let bounded = bounds.into_iter().any(|bound| section.has(bound));
        let wanted = RowCount {
            min: count("min"),
            max: count("max"),
            min_ratio: ratio("min_ratio"),
            max_ratio: ratio("max_ratio"),
            against: self.against(&section),
        };
        if !bounded {
            let message = "`audits.row_count` has none of `min`, `max`, `min_ratio`, `max_ratio`";
            section.fault(section.line(), message);
        }
        if section.has("against") && !(section.has("min_ratio") || section.has("max_ratio")) {
            let message =
                "`audits.row_count.against` is what `min_ratio` and `max_ratio` compare with";
            section.fault(section.line(), message);
        }
        let above = |min: Option<u64>, max: Option<u64>| min.zip(max).is_some_and(|(a, b)| a > b);
        if above(wanted.min, wanted.max)
            || wanted
                .min_ratio
                .zip(wanted.max_ratio)
                .is_some_and(|(a, b)| a > b)
        {
            section.fault(
                section.line(),
                "`audits.row_count`: no number of rows lies between these bounds",
            );
        }
        section.finish();
        Some(Check::RowCount(wanted))
    }

    fn against(&self, section: &Section<'_>) -> Option<Span> {
        let text = section.text("against")?;
        let grain = self.grain?;
        let span = Span::parse(&text.value).filter(|span| !span.is_empty() && span.fits(grain));
        if span.is_none() {
            let message = match grain {
                Grain::Table => "`audits.row_count.against`: a whole table is compared with itself as readers see it".to_owned(),
                _ => format!(
                    "`audits.row_count.against`: `{}` is no whole number of windows of one {grain}, such as 7d for days",
                    text.value
                ),
            };
            section.fault(text.line, message);
        }
        span
    }
}

fn columns(section: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let texts = section.texts(key);
    if texts.is_empty() {
        let message =
            format!("`audits.{key}` is a list of columns of the SELECT, such as [\"day\"]");
        section.fault(section.line(), message);
        return None;
    }
    Some(texts.into_iter().map(|text| text.value).collect())
}

fn accepted(section: Section<'_>) -> Option<Check> {
    let column = section.required_text("column");
    let values = section.scalars("values");
    if values.is_empty() {
        section.fault(
            section.line(),
            "`audits.accepted_values.values` is a list of what may stand there",
        );
    }
    section.finish();
    Some(Check::Accepted {
        column: column?.value,
        values: values.into_iter().map(|value| value.value).collect(),
    })
}

fn range(section: Section<'_>) -> Option<Check> {
    let column = section.required_text("column");
    let (min, max) = (section.scalar("min"), section.scalar("max"));
    if !(section.has("min") || section.has("max")) {
        section.fault(section.line(), "`audits.range` has neither `min` nor `max`");
    }
    let (min, max) = (min.map(|end| end.value), max.map(|end| end.value));
    let number = |end: &Option<Scalar>| match end {
        Some(Scalar::Number(digits)) => digits.parse::<f64>().ok(),
        _ => None,
    };
    if number(&min).zip(number(&max)).is_some_and(|(a, b)| a > b) {
        section.fault(
            section.line(),
            "`audits.range`: nothing lies between `min` and `max`",
        );
    }
    section.finish();
    Some(Check::Range {
        column: column?.value,
        min,
        max,
    })
}

/// One SELECT over the staging table, which may ask for the window's `from` and `to`, too.
fn select(text: &str, fault: impl Fn(usize, String)) -> Option<String> {
    let found = sql::outline(text);
    if found.statements != 1 || !matches!(found.first_word.as_str(), "SELECT" | "WITH") {
        fault(0, "an audit is one SELECT".to_owned());
        return None;
    }
    let mut reads_staging = false;
    for parameter in &found.parameters {
        if parameter.text == STAGING {
            reads_staging = true;
        } else if let Some(message) =
            sql::wrong_parameter(parameter, "`{staging}`, `from` and `to`")
        {
            fault(parameter.line, message);
        }
    }
    if !reads_staging {
        fault(0, format!("an audit reads the new data: FROM {STAGING}"));
    }
    text.get(..found.end).map(str::to_owned)
}

/// The `.sql` files beside one that is not there, as the job's file would name them.
fn sql_files(missing: &Path, written: &str) -> Vec<String> {
    let above = written.rsplit_once('/').map_or("", |(above, _)| above);
    let entries = missing.parent().and_then(|folder| folder.read_dir().ok());
    let names = entries.into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let path = Path::new(above).join(&name);
        name.ends_with(".sql")
            .then(|| path.to_string_lossy().into_owned())
    });
    names.collect()
}
