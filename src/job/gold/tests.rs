use std::path::Path;

use super::*;
use crate::audit::Check;
use crate::column::Type;
use crate::document::Document;
use crate::fault::Faults;
use crate::window::Grain;

const TOML: &str = r#"
grain = "day"
time_column = "day"
zone = "Europe/Berlin"
order_by = ["day", "origin"]
schedule = "15 1 * * *"
grace = "2h"
depends_on = ["silver.flights"]

[[audits]]
name = "no negative counts"
severity = "block"
sql = "SELECT * FROM {staging} WHERE flights < 0"

[[audits]]
name = "every flight has an origin"
severity = "warn"
not_null = ["origin"]
"#;
const SQL: &str = "SELECT toDate(departed) AS day, origin, count() AS flights
FROM silver.flights
WHERE departed >= {from:DateTime64(3, 'UTC')} AND departed < {to: DateTime64(3,'UTC')}
GROUP BY day, origin;
";

fn parsed(toml: &str, sql: Option<&str>) -> (Option<GoldJob>, Vec<String>) {
    let faults = Faults::default();
    let document = Document::parse(Path::new("daily.toml"), toml, &faults);
    let declared = Declaration {
        name: "daily",
        sql_file: Path::new("daily.sql"),
        sql,
        zone: chrono_tz::UTC,
        faults: &faults,
    };
    let job = read(&declared, document.root(&faults));
    if let Some(job) = &job {
        check_dependencies(
            std::slice::from_ref(job),
            &["flights"],
            Path::new("jobs"),
            &faults,
        );
    }
    let found = faults.into_sorted();
    (job, found.iter().map(ToString::to_string).collect())
}

#[test]
fn a_gold_job_is_its_two_files() {
    let (job, faults) = parsed(TOML, Some(SQL));
    assert_eq!(faults, Vec::<String>::new());
    let job = job.unwrap();
    assert_eq!(job.calendar.grain, Grain::Day);
    assert_eq!(job.calendar.zone, chrono_tz::Europe::Berlin);
    assert_eq!(job.grace, Duration::from_secs(7200));
    assert_eq!(job.depends_on, [Dependency::Silver("flights".to_owned())]);
    assert_eq!(
        job.audits[1].check,
        Check::NotNull(vec!["origin".to_owned()])
    );
    assert!(job.sql.ends_with("GROUP BY day, origin"));
    let (changed, _) = parsed(TOML, Some(&SQL.replace("count()", "uniq(id)")));
    assert_ne!(changed.unwrap().sql_hash, job.sql_hash);
}

#[test]
fn every_fault_of_both_files_is_reported() {
    let toml = TOML
        .replace("\"day\"\ntime", "\"dya\"\ntime")
        .replace("15 1 * * *", "0 0 30 2 *")
        .replace("Europe/Berlin", "Europe/Berln")
        .replace("silver.flights", "flights")
        .replace("{staging}", "gold.daily");
    let sql = SQL
        .replace("{from:DateTime64(3, 'UTC')}", "{from:DateTime}")
        .replace("{to:", "{until:");
    let (_, faults) = parsed(&toml, Some(&sql));
    for expected in [
        "daily.toml:2: `grain` is one of hour, day, week, month, table; `dya` is not, did you mean `day`?",
        "daily.toml:4: `Europe/Berln` is no known time zone, did you mean `Europe/Berlin`?",
        "daily.toml:6: `schedule`: `0 0 30 2 *` never fires",
        "daily.toml:8: `depends_on`: `flights` names no job",
        "daily.toml:13: an audit reads the new data",
        "daily.sql:3: write {from:DateTime64(3, 'UTC')}",
        "daily.sql:3: unknown parameter `until`",
        "daily.sql: never uses {to:",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(expected)),
            "{expected}\n{faults:#?}"
        );
    }
}

#[test]
fn a_filled_select_has_the_windows_bounds_in_the_place_of_its_parameters() {
    let sql = "SELECT '{from:x}', {from:DateTime64(3, 'UTC')} -- {to:y}\n, {to: DateTime64(3,'UTC')} AS t";
    let job = parsed(TOML, Some(sql)).0.unwrap();
    // New York's day of 25 hours
    let window = Window {
        from: "2024-11-03T04:00:00Z".parse().unwrap(),
        to: "2024-11-04T05:00:00Z".parse().unwrap(),
    };
    assert_eq!(
        job.filled(window),
        "SELECT '{from:x}', toDateTime64('2024-11-03 04:00:00.000', 3, 'UTC') -- {to:y}\n, \
toDateTime64('2024-11-04 05:00:00.000', 3, 'UTC') AS t"
    );
}

#[test]
fn a_whole_table_has_neither_a_time_column_nor_a_lookback_nor_needs_parameters() {
    let toml = "grain = 'table'\norder_by = ['origin']\ntags = ['small', 'daily/now']\n";
    let sql = "SELECT origin, count() AS flights FROM silver.flights GROUP BY origin";
    let (job, faults) = parsed(toml, Some(sql));
    assert_eq!(faults, Vec::<String>::new());
    let job = job.unwrap();
    assert!(job.is_whole_table());
    assert_eq!((job.time_column, job.lookback), (None, None));
    assert_eq!(job.tags, ["small", "daily/now"]);
    let toml = format!("{toml}time_column = 'day'\nlookback = '3d'\n");
    let (_, faults) = parsed(&toml, Some(sql));
    assert!(faults[0].starts_with("daily.toml:4: `time_column`: the whole table is one window"));
    assert!(faults[1].starts_with("daily.toml:5: `lookback`: the whole table is one window"));
}

#[test]
fn a_lookback_is_a_whole_number_of_windows_and_a_tag_one_word() {
    let with = |line: &str| parsed(&TOML.replace("grace = \"2h\"", line), Some(SQL));
    let (job, faults) = with("lookback = \"3d\"");
    assert_eq!(faults, Vec::<String>::new());
    let job = job.unwrap();
    let day = job
        .calendar
        .window_at("2024-03-31T12:00:00Z".parse().unwrap());
    let labels: Vec<_> = job
        .looking_back(day)
        .into_iter()
        .map(|w| job.calendar.label(w))
        .collect();
    assert_eq!(
        labels,
        ["2024-03-28", "2024-03-29", "2024-03-30", "2024-03-31"]
    );
    for (line, expected) in [
        (
            "lookback = \"3h\"",
            "3h is no whole number of windows of one day",
        ),
        ("lookback = \"0d\"", "0d is no whole number"),
        ("lookback = \"some\"", "`some` is no span of time"),
        ("tags = [\"two words\"]", "`two words`: a tag holds letters"),
    ] {
        let (_, faults) = with(line);
        assert!(faults[0].contains(expected), "{faults:?}");
    }
}

#[test]
fn a_job_without_its_sql_or_with_two_statements_is_no_job() {
    assert!(parsed(TOML, None).1[0].starts_with("daily.sql: is missing"));
    let two = format!("{SQL}\nDROP TABLE silver.flights");
    assert!(parsed(TOML, Some(&two)).1[0].contains("holds 2 statements"));
    let (_, faults) = parsed(TOML, Some("INSERT INTO x SELECT 1"));
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("begins with INSERT"))
    );
}

fn named(name: &str, depends_on: &[&str]) -> GoldJob {
    let (job, _) = parsed(TOML, Some(SQL));
    GoldJob {
        name: name.to_owned(),
        depends_on: depends_on
            .iter()
            .map(|name| Dependency::Gold((*name).to_owned()))
            .collect(),
        ..job.unwrap()
    }
}

#[test]
fn jobs_come_after_what_they_depend_on_and_circles_are_faults() {
    let jobs = [named("a", &["c"]), named("b", &[]), named("c", &["b"])];
    let names: Vec<_> = in_dependency_order(&jobs)
        .iter()
        .map(|job| job.name.as_str())
        .collect();
    assert_eq!(names, ["b", "c", "a"]);
    let circle = [
        named("a", &["c"]),
        named("b", &[]),
        named("c", &["a"]),
        named("d", &["bb"]),
    ];
    let faults = Faults::default();
    check_dependencies(&circle, &[], Path::new("jobs"), &faults);
    let error = faults.into_result().unwrap_err().to_string();
    assert!(error.contains("circle among a, c"), "{error}");
    assert!(
        error.contains("no job `gold.bb`, did you mean `b`?"),
        "{error}"
    );
}

#[test]
fn a_window_is_one_partition() {
    let (job, _) = parsed(TOML, Some(SQL));
    let calendar = job.unwrap().calendar;
    let hourly = Calendar {
        grain: Grain::Hour,
        ..calendar
    };
    let time = Type::parse("DateTime64(6, 'UTC')").unwrap();
    let expression = |calendar, kind: &Type| partition_expression(calendar, "`t`", kind);
    assert_eq!(expression(calendar, &Type::Date).unwrap(), "`t`");
    assert_eq!(
        expression(calendar, &time).unwrap(),
        "toDate(`t`, 'Europe/Berlin')"
    );
    assert!(
        expression(hourly, &Type::Date)
            .unwrap_err()
            .contains("cannot place a row in an hour")
    );
    assert!(
        expression(calendar, &Type::String)
            .unwrap_err()
            .contains("cannot place")
    );
    let noon = "2024-03-31T12:00:00Z".parse().unwrap();
    assert_eq!(partition_id(calendar, calendar.window_at(noon)), "20240331");
    assert_eq!(
        partition_id(hourly, hourly.window_at(noon)),
        noon.timestamp().to_string()
    );
}
