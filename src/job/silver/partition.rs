//! Silver in partitions of time: only where every version of a row says the same time, its delete included.

use crate::column::Type;
use crate::document::{Located, Section};
use crate::window::Grain;

use super::Column;

const WORDS: [(&str, Grain); 4] = [
    ("hour", Grain::Hour),
    ("day", Grain::Day),
    ("week", Grain::Week),
    ("month", Grain::Month),
];

/// `partition_by`, and what it needs: versions of one row in two partitions would both be read.
pub(super) fn read(
    root: &Section<'_>,
    key: &[Located<String>],
    time: Option<&Located<String>>,
    columns: &[Located<Column>],
) -> Option<Grain> {
    let line = root.text("partition_by")?.line;
    let grain = root.choice("partition_by", &WORDS)?;
    let Some(time) = time else {
        root.fault(line, "`partition_by` needs a `time_column`");
        return None;
    };
    // a name that is no column was told already
    let column = columns
        .iter()
        .find(|column| column.value.name == time.value)?;
    let source = &column.value.source;
    if !key.is_empty() && key.iter().all(|field| field.value != *source) {
        let message = format!(
            "`partition_by` needs `{source}` in `key`: a delete tells the key and nothing else, and has to find its row's partition"
        );
        root.fault(line, message);
    }
    match &column.value.kind {
        Type::Nullable(_) => {
            let message = format!("`partition_by`: `{}` may be NULL", time.value);
            root.fault(column.line, message);
        }
        Type::Date | Type::Date32 if grain == Grain::Hour => {
            let message = format!("`partition_by`: `{}` has no hours", time.value);
            root.fault(column.line, message);
        }
        _ => {}
    }
    Some(grain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::load;

    fn job(top: &str, kind: &str) -> String {
        format!("topic = \"t\"\n{top}\n[columns]\nid = \"Int64\"\nat = \"{kind}\"\n")
    }

    const TIME: &str = "DateTime64(3, 'UTC')";

    #[test]
    fn a_key_that_holds_the_time_or_none_at_all_may_be_partitioned() {
        for key in ["key = [\"at\", \"id\"]", "key = []"] {
            let text = job(
                &format!("{key}\ntime_column = \"at\"\npartition_by = \"month\""),
                TIME,
            );
            let jobs = load(&[("silver/events.toml", &text)]).unwrap();
            assert_eq!(jobs.silver[0].partition_by, Some(Grain::Month));
        }
    }

    #[test]
    fn partitions_that_would_part_the_versions_of_a_row_are_refused() {
        for (top, kind, wanted) in [
            (
                "key = [\"id\"]\ntime_column = \"at\"\npartition_by = \"day\"",
                TIME,
                "events.toml:4: `partition_by` needs `at` in `key`",
            ),
            (
                "key = [\"id\"]\npartition_by = \"day\"",
                TIME,
                "events.toml:3: `partition_by` needs a `time_column`",
            ),
            (
                "key = []\ntime_column = \"at\"\npartition_by = \"day\"",
                "Nullable(DateTime)",
                "`at` may be NULL",
            ),
            (
                "key = []\ntime_column = \"at\"\npartition_by = \"hour\"",
                "Date",
                "`at` has no hours",
            ),
            (
                "key = []\ntime_column = \"at\"\npartition_by = \"table\"",
                TIME,
                "`partition_by` is one of hour, day, week, month",
            ),
        ] {
            let error = load(&[("silver/events.toml", &job(top, kind))]).unwrap_err();
            let told = format!("{error} {}", error.advice());
            assert!(told.contains(wanted), "{told}");
        }
    }
}
