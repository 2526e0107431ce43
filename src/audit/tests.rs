use std::path::Path;

use super::*;
use crate::document::Document;
use crate::fault::Faults;
use crate::window::{Calendar, Grain, Span};

fn parsed(toml: &str) -> (Vec<Audit>, Vec<String>) {
    parsed_in(Path::new("jobs/gold"), toml)
}

fn parsed_in(folder: &Path, toml: &str) -> (Vec<Audit>, Vec<String>) {
    let faults = Faults::default();
    let document = Document::parse(Path::new("daily.toml"), toml, &faults);
    let root = document.root(&faults);
    let audits = read(&root, folder, Some(Grain::Day), &faults);
    root.finish();
    let found = faults.into_sorted();
    (audits, found.iter().map(ToString::to_string).collect())
}

const EVERY_KIND: &str = r#"
[[audits]]
name = "every row has its day and kind"
not_null = ["day", "kind"]

[[audits]]
name = "one row for each day and kind"
severity = "warn"
unique = ["day", "kind"]

[[audits]]
name = "known kinds"
accepted_values = { column = "kind", values = ["it's", 7, true] }

[[audits]]
name = "sensible sums"
range = { column = "total", min = -1.5, max = 1_000 }

[[audits]]
name = "of this century"
range = { column = "day", min = 2000-01-01 }

[[audits]]
name = "about as many rows as a week before"
row_count = { min = 1, max = 500, min_ratio = 0.5, max_ratio = 2, against = "7d" }

[[audits]]
name = "no negative sums"
sql = """
SELECT * FROM {staging} -- of {from:DateTime64(3, 'UTC')}
WHERE total < 0; -- the end"""
"#;

#[test]
fn every_kind_of_audit_is_one_select_whose_rows_are_findings() {
    let (audits, faults) = parsed(EVERY_KIND);
    assert_eq!(faults, Vec::<String>::new());
    let order_by = ["day".to_owned(), "kind".to_owned()];
    let selects: Vec<Option<String>> = audits
        .iter()
        .map(|audit| audit.check.select("`g`.`s`", &order_by))
        .collect();
    let expected = [
        Some("SELECT `day`, `kind` FROM `g`.`s` WHERE isNull(`day`) OR isNull(`kind`)"),
        Some("SELECT `day`, `kind` FROM `g`.`s` GROUP BY `day`, `kind` HAVING count() > 1"),
        Some("SELECT `day`, `kind` FROM `g`.`s` WHERE `kind` NOT IN ('it\\'s', 7, true)"),
        Some("SELECT `day`, `kind` FROM `g`.`s` WHERE NOT (`total` >= -1.5 AND `total` <= 1000)"),
        Some("SELECT `day`, `kind` FROM `g`.`s` WHERE NOT (`day` >= '2000-01-01')"),
        None,
        Some("SELECT * FROM `g`.`s` -- of {from:DateTime64(3, 'UTC')}\nWHERE total < 0"),
    ];
    for (found, expected) in selects.iter().zip(expected) {
        assert_eq!(found.as_deref(), expected);
    }
    assert_eq!(audits[0].severity, Severity::Block);
    assert_eq!(audits[1].severity, Severity::Warn);
    assert_eq!(audits[1].check.count_of(2), "2 keys more than once");
}

#[test]
fn every_fault_of_every_audit_is_told_with_its_line() {
    let toml = r#"
[[audits]]
name = "a"
severity = "wran"
not_nul = ["day"]

[[audits]]
not_null = []
unique = ["day"]

[[audits]]
name = "b"
accepted_values = { columm = "kind", values = [] }

[[audits]]
name = "c"
range = { column = "total", min = 2, max = 1.5 }

[[audits]]
name = "c"
range = { column = "total" }

[[audits]]
name = "d"
row_count = { min = -1, max_ratio = "twice" }

[[audits]]
name = "e"
row_count = { against = "5h" }

[[audits]]
name = "f"
sql = "DELETE FROM {staging}"

[[audits]]
name = "g"
sql = "SELECT {form:DateTime64(3, 'UTC')}"

[[audits]]
name = "h"
sql_file = "../other/x.sql"
"#;
    let (_, faults) = parsed(toml);
    for expected in [
        "daily.toml:2: an audit asks one of `not_null`, `unique`",
        "daily.toml:4: `audits.severity` is one of block, warn; `wran` is not, did you mean `warn`?",
        "daily.toml:5: unknown field `audits.not_nul`, did you mean `not_null`?",
        "daily.toml:7: `audits.name` is missing",
        "daily.toml:7: an audit asks one of `not_null`, `unique`, `accepted_values`, `range`, `row_count`, `sql`, `sql_file`; this one has `not_null`, `unique`",
        "daily.toml:7: `audits.not_null` is a list of columns",
        "daily.toml:13: `audits.accepted_values.column` is missing",
        "daily.toml:13: `audits.accepted_values.values` is a list",
        "daily.toml:13: unknown field `audits.accepted_values.columm`, did you mean `column`?",
        "daily.toml:17: `audits.range`: nothing lies between",
        "daily.toml:19: two audits are called `c`",
        "daily.toml:21: `audits.range` has neither `min` nor `max`",
        "daily.toml:25: `audits.row_count.min` counts rows",
        "daily.toml:25: `audits.row_count.max_ratio` is how many times",
        "daily.toml:29: `audits.row_count` has none of",
        "daily.toml:29: `audits.row_count.against`: `5h` is no whole number of windows of one day",
        "daily.toml:33: an audit is one SELECT",
        "daily.toml:37: unknown parameter `form`; there are `{staging}`, `from` and `to`",
        "daily.toml:37: an audit reads the new data",
        "daily.toml:41: `audits.sql_file`: `../other/x.sql` is no path below",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(expected)),
            "{expected}\n{faults:#?}"
        );
    }
}

#[test]
fn an_audit_can_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("audits")).unwrap();
    let file = folder.path().join("audits/balance.sql");
    std::fs::write(
        &file,
        "-- nothing is lost\nSELECT 1 FROM {staging}\nWHERE {too:UInt8} = 1;\n",
    )
    .unwrap();
    let toml = |path: &str| format!("[[audits]]\nname = \"balance\"\nsql_file = \"{path}\"\n");
    let (audits, faults) = parsed_in(folder.path(), &toml("audits/balance.sql"));
    assert_eq!(audits.len(), 1);
    let expected = format!("{}:3: unknown parameter `too`", file.display());
    assert!(faults[0].starts_with(&expected), "{faults:?}");
    let (_, faults) = parsed_in(folder.path(), &toml("audits/balanse.sql"));
    assert!(
        faults[0].contains("cannot read `audits/balanse.sql`, did you mean `audits/balance.sql`?"),
        "{faults:?}"
    );
}

#[test]
fn rows_are_counted_against_bounds_and_against_an_earlier_window() {
    let before = |rows| Before {
        rows,
        window: "2024-03-04".to_owned(),
    };
    let wanted = RowCount {
        min: Some(1),
        max: Some(500),
        min_ratio: Ratio::parse("0.1"),
        max_ratio: Ratio::parse("2"),
        against: None,
    };
    let judged = |rows, before: Option<&Before>| wanted.judge(rows, before);
    for (rows, compared, expected) in [
        (0, None, Some("0 rows, fewer than 1")),
        (501, None, Some("501 rows, more than 500")),
        (1, None, None),
        (1, Some(0), None),
        (3, Some(30), None),
        (
            2,
            Some(30),
            Some("2 rows, fewer than 0.1 times the 30 of 2024-03-04"),
        ),
        (60, Some(30), None),
        (
            61,
            Some(30),
            Some("61 rows, more than 2 times the 30 of 2024-03-04"),
        ),
    ] {
        let compared = compared.map(before);
        assert_eq!(
            judged(rows, compared.as_ref()).as_deref(),
            expected,
            "{rows}"
        );
    }
    for wrong in ["-1", "nan", "inf", "1e10", ""] {
        assert_eq!(Ratio::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn yesterday_is_the_window_before_or_the_one_so_long_before() {
    let calendar = |grain| Calendar {
        grain,
        zone: chrono_tz::Europe::Berlin,
    };
    let noon = "2024-04-01T10:00:00Z".parse().unwrap();
    let earlier = |grain, against: Option<&str>| {
        let wanted = RowCount {
            min_ratio: Ratio::parse("1"),
            against: against.and_then(Span::parse),
            ..RowCount::default()
        };
        let found = wanted.earlier(calendar(grain), calendar(grain).window_at(noon));
        found.map(|window| calendar(grain).label(window))
    };
    // the clocks went forward in the night to 2024-03-31
    for (grain, against, expected) in [
        (Grain::Day, None, "2024-03-31"),
        (Grain::Day, Some("7d"), "2024-03-25"),
        (Grain::Hour, None, "2024-04-01T11:00+02:00"),
        (Grain::Hour, Some("1d"), "2024-03-31T12:00+02:00"),
        (Grain::Hour, Some("2d"), "2024-03-30T12:00+01:00"),
        (Grain::Table, None, "whole table"),
    ] {
        assert_eq!(
            earlier(grain, against).as_deref(),
            Some(expected),
            "{against:?}"
        );
    }
}
