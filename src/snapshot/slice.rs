//! Parts of a source table: where it is cut, by its key or by a time, and the rows between two cuts.
//!
//! Bounds travel as the texts that PostgreSQL itself wrote for them, and are compared by PostgreSQL in its own order, so that
//! the index of the key (or of the time) finds them.

use chrono::{DateTime, Utc};

use super::Reading;
use super::postgres::identifier;
use crate::catalog::{SourceType, Table};
use crate::error::{Error, Kind, Result};

/// One text for each column of an axis.
pub type Bound = Vec<String>;

/// What a table is cut along.
#[derive(Clone, Debug)]
pub struct Axis {
    columns: Vec<Along>,
    /// the table, quoted, without `ONLY` or an alias
    table: String,
    /// rows that have no place on the axis are in no part
    pub is_time: bool,
}

#[derive(Clone, Debug)]
struct Along {
    /// in the source
    name: String,
    /// quoted
    column: String,
    /// its type as PostgreSQL spells it
    spelled: String,
}

/// `[from, to)`; none: without a bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Between<'a> {
    pub from: Option<&'a Bound>,
    pub to: Option<&'a Bound>,
}

/// Rows of a part, and the bounds at which it is cut: every so many rows.
#[derive(Debug)]
pub struct Cuts {
    pub rows: u64,
    pub bounds: Vec<Bound>,
}

impl Axis {
    pub fn of_key(reading: &Reading, table: &Table) -> Axis {
        let columns = reading.job.key.iter().filter_map(|field| {
            let found = table.columns.iter().find(|column| column.name == *field)?;
            Some(Along::new(&found.name, &found.spelled))
        });
        Axis {
            columns: columns.collect(),
            table: quoted(table),
            is_time: false,
        }
    }

    /// Along the job's time column.
    pub fn of_time(reading: &Reading, table: &Table) -> Result<Axis> {
        let job = &reading.job;
        let refused = |why: String| {
            Error::new(Kind::Usage, format!("job {}: {why}", job.name)).advise(
                "leave out --from and --to: the whole table is then read in parts of its key",
            )
        };
        let Some(name) = &job.time_column else {
            return Err(refused(
                "it declares no time_column, so a time says nothing of its rows".to_owned(),
            ));
        };
        let column = job.columns.iter().find(|column| column.name == *name);
        let source = column.map_or(name.as_str(), |column| column.source.as_str());
        let Some(found) = table.columns.iter().find(|column| column.name == source) else {
            return Err(refused(format!("{} has no column {source}", table.name)));
        };
        let known = ["date", "timestamp", "timestamptz"];
        match &found.kind {
            SourceType::Scalar { name, .. } if known.contains(&name.as_str()) => Ok(Axis {
                columns: vec![Along::new(source, &found.spelled)],
                table: quoted(table),
                is_time: true,
            }),
            _ => Err(refused(format!(
                "column {source} of {} is of type {}, and not a date or a timestamp",
                table.name, found.spelled
            ))),
        }
    }

    /// An instant as a bound of a time; a time without a zone is in UTC, as Debezium reads it.
    pub fn instant(&self, at: DateTime<Utc>) -> Bound {
        let is_date = self.columns.iter().any(|along| along.spelled == "date");
        // the first midnight that is not before it
        let at = match is_date {
            true => at + chrono::Duration::days(1) - chrono::Duration::microseconds(1),
            false => at,
        };
        let layout = if is_date {
            "%Y-%m-%d"
        } else {
            "%Y-%m-%d %H:%M:%S%.6f+00"
        };
        vec![at.format(layout).to_string()]
    }

    /// Which columns, for people.
    pub fn show(&self) -> String {
        let names: Vec<&str> = self
            .columns
            .iter()
            .map(|along| along.name.as_str())
            .collect();
        names.join(", ")
    }

    /// The statement that counts the rows and names every so many-th one.
    pub(super) fn cuts(&self, reading: &Reading, between: Between<'_>, rows: u64) -> String {
        let columns = self.list(|along| along.column.clone());
        let texts = self.list_numbered(|at, along| format!("{}::text AS b{at}", along.column));
        let bounds = self.list_numbered(|at, _| {
            format!("coalesce(array_agg(b{at} ORDER BY n) FILTER (WHERE n % {rows} = 0 AND n > 0), '{{}}')")
        });
        format!(
            "SELECT count(*), {bounds} FROM (SELECT {texts}, row_number() OVER (ORDER BY {columns}) - 1 AS n FROM {} WHERE {}) AS cut",
            reading.table(),
            self.condition(between)
        )
    }

    /// Whether an index begins with these columns.
    pub(super) fn indexed(&self) -> (&'static str, [&str; 2]) {
        let first = self.columns.first().map_or("", |along| along.name.as_str());
        (
            "SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
             WHERE i.indrelid = $1::text::regclass AND a.attname = $2 AND i.indisvalid)",
            [self.table.as_str(), first],
        )
    }

    pub(super) fn condition(&self, between: Between<'_>) -> String {
        let row = |cells: String| {
            if self.columns.len() == 1 {
                cells
            } else {
                format!("({cells})")
            }
        };
        let columns = row(self.list(|along| along.column.clone()));
        let bound = |bound: &Bound| {
            let cells = self.columns.iter().zip(bound);
            let cells: Vec<String> = cells
                .map(|(along, text)| format!("{}::{}", literal(text), along.spelled))
                .collect();
            row(cells.join(", "))
        };
        let from = between
            .from
            .map(|from| format!("{columns} >= {}", bound(from)));
        let to = between.to.map(|to| format!("{columns} < {}", bound(to)));
        let both: Vec<String> = [from, to].into_iter().flatten().collect();
        match both.is_empty() {
            true => "true".to_owned(),
            false => both.join(" AND "),
        }
    }

    fn list(&self, part: impl Fn(&Along) -> String) -> String {
        self.list_numbered(|_, along| part(along))
    }

    fn list_numbered(&self, part: impl Fn(usize, &Along) -> String) -> String {
        let parts = self.columns.iter().enumerate();
        let parts: Vec<String> = parts.map(|(at, along)| part(at, along)).collect();
        parts.join(", ")
    }
}

impl Along {
    fn new(name: &str, spelled: &str) -> Along {
        Along {
            name: name.to_owned(),
            column: format!("t.{}", identifier(name)),
            spelled: spelled.to_owned(),
        }
    }
}

fn quoted(table: &Table) -> String {
    format!(
        "{}.{}",
        identifier(&table.name.schema),
        identifier(&table.name.table)
    )
}

/// Quotes a text for PostgreSQL, whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(columns: &[(&str, &str)], is_time: bool) -> Axis {
        Axis {
            columns: columns
                .iter()
                .map(|(name, spelled)| Along::new(name, spelled))
                .collect(),
            table: String::new(),
            is_time,
        }
    }

    #[test]
    fn a_part_is_half_open_and_its_bounds_cannot_leave_their_quotes() {
        let (from, to) = (
            vec!["it's \\".to_owned(), "7".to_owned()],
            vec!["z".to_owned(), "1".to_owned()],
        );
        let axis = axis(&[("region", "text"), ("i\"d", "bigint")], false);
        let between = Between {
            from: Some(&from),
            to: Some(&to),
        };
        assert_eq!(
            axis.condition(between),
            "(t.\"region\", t.\"i\"\"d\") >= (E'it''s \\\\'::text, E'7'::bigint) AND \
             (t.\"region\", t.\"i\"\"d\") < (E'z'::text, E'1'::bigint)"
        );
        assert_eq!(axis.condition(Between::default()), "true");
    }

    #[test]
    fn an_instant_is_a_bound_in_utc_and_of_dates_the_next_midnight() {
        let at = "2024-03-01T12:00:00.5Z".parse().unwrap();
        let stamps = axis(&[("at", "timestamp with time zone")], true);
        assert_eq!(stamps.instant(at), ["2024-03-01 12:00:00.500000+00"]);
        let dates = axis(&[("day", "date")], true);
        assert_eq!(dates.instant(at), ["2024-03-02"]);
        assert_eq!(
            dates.instant("2024-03-01T00:00:00Z".parse().unwrap()),
            ["2024-03-01"]
        );
    }
}
