use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The first fires after midnight of a date, as the zone's wall clock shows them.
fn fires(line: &str, zone: &str, date: &str, count: usize) -> String {
    let zone: Tz = zone.parse().unwrap();
    let schedule = Schedule::parse(line).unwrap();
    let midnight: NaiveDateTime = format!("{date}T00:00:00").parse().unwrap();
    let mut after = first_instant(zone, midnight) - Duration::seconds(1);
    let mut shown = Vec::new();
    for _ in 0..count {
        after = schedule.next_after(after, zone).unwrap();
        let local = after.with_timezone(&zone);
        shown.push(local.format("%d %H:%M %Z").to_string());
    }
    shown.join(" | ")
}

#[test]
fn a_time_inside_the_spring_gap_fires_once_right_after_it() {
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-03-28", 3),
        "28 02:30 CET | 29 03:00 CEST | 30 02:30 CEST"
    );
    assert_eq!(
        fires("15 1 * * *", "Europe/Berlin", "2026-03-29", 2),
        "29 01:15 CET | 30 01:15 CEST"
    );
    assert_eq!(
        fires("30 2 * * *", "America/New_York", "2026-03-08", 2),
        "08 03:00 EDT | 09 02:30 EDT"
    );
    // the gap is half an hour here
    assert_eq!(
        fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", 2),
        "04 02:30 +11 | 05 02:15 +11"
    );
    // midnight itself is missing
    assert_eq!(
        fires("0 0 * * *", "Atlantic/Azores", "2026-03-28", 3),
        "28 00:00 -01 | 29 01:00 +00 | 30 00:00 +00"
    );
}

#[test]
fn a_time_inside_the_autumn_fold_fires_the_first_time_only() {
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-10-25", 2),
        "25 02:30 CEST | 26 02:30 CET"
    );
    assert_eq!(
        fires("30 1,2,3 * * *", "Europe/Berlin", "2026-10-25", 4),
        "25 01:30 CEST | 25 02:30 CEST | 25 03:30 CET | 26 01:30 CET"
    );
    assert_eq!(
        fires("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", 2),
        "05 01:45 +11 | 06 01:45 +1030"
    );
}

#[test]
fn a_star_in_hour_or_minute_follows_elapsed_time() {
    assert_eq!(
        fires("*/30 2 * * *", "Europe/Berlin", "2026-10-25", 5),
        "25 02:00 CEST | 25 02:30 CEST | 25 02:00 CET | 25 02:30 CET | 26 02:00 CET"
    );
    assert_eq!(
        fires("0 * * * *", "Europe/Berlin", "2026-03-29", 4),
        "29 00:00 CET | 29 01:00 CET | 29 03:00 CEST | 29 04:00 CEST"
    );
    assert_eq!(
        fires("*/15 * * * *", "Australia/Lord_Howe", "2026-04-05", 11),
        "05 00:00 +11 | 05 00:15 +11 | 05 00:30 +11 | 05 00:45 +11 | 05 01:00 +11 | 05 01:15 +11 | 05 01:30 +11 | \
05 01:45 +11 | 05 01:30 +1030 | 05 01:45 +1030 | 05 02:00 +1030"
    );
}

#[test]
fn days_and_weekdays_mean_what_crontabs_mean() {
    // 2026-11-01 is a Sunday
    assert_eq!(
        fires("0 9 * * 1-5", "UTC", "2026-11-01", 6),
        "02 09:00 UTC | 03 09:00 UTC | 04 09:00 UTC | 05 09:00 UTC | 06 09:00 UTC | 09 09:00 UTC"
    );
    for sunday in ["0", "7", "sun", "SUN"] {
        let line = format!("0 9 * * {sunday}");
        assert_eq!(
            fires(&line, "UTC", "2026-11-01", 2),
            "01 09:00 UTC | 08 09:00 UTC"
        );
    }
    assert_eq!(
        fires("0 9 * * 5-7", "UTC", "2026-11-02", 3),
        "06 09:00 UTC | 07 09:00 UTC | 08 09:00 UTC"
    );
    // restricted day and weekday: either of them
    assert_eq!(
        fires("0 9 13 * 5", "UTC", "2026-10-01", 4),
        "02 09:00 UTC | 09 09:00 UTC | 13 09:00 UTC | 16 09:00 UTC"
    );
    // a day that begins with `*` does not count as restricted: both of them
    assert_eq!(
        fires("0 9 */2 * 1", "UTC", "2026-11-01", 2),
        "09 09:00 UTC | 23 09:00 UTC"
    );
    assert_eq!(fires("0 0 29 2 *", "UTC", "2026-01-01", 1), "29 00:00 UTC");
    assert_eq!(
        fires("@daily", "UTC", "2026-01-01", 2),
        "01 00:00 UTC | 02 00:00 UTC"
    );
}

#[test]
fn a_line_that_cannot_be_meant_is_refused() {
    let fault = |line: &str| Schedule::parse(line).unwrap_err();
    assert!(fault("0 0 30 2 *").contains("never fires"));
    assert!(fault("15 1 * *").contains("has 4 fields"));
    assert!(fault("0 15 1 * * *").contains("has 6 fields"));
    assert!(fault("15 25 * * *").starts_with("`15 25 * * *`"));
    assert!(fault("15 1 * * fri-mon").contains("no weekday"));
    assert!(fault("15 1 * * 8").contains("no weekday"));
    assert!(fault("15 1 ? * *").contains("means nothing"));
    assert!(fault("15 1 L * *").starts_with("`15 1 L * *`"));
    assert!(fault("*/0 1 * * *").starts_with("`*/0 1 * * *`"));
}

#[test]
fn fires_rise_strictly_through_two_years_of_every_odd_zone() {
    for zone in [
        "Europe/Berlin",
        "Africa/Casablanca",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Atlantic/Azores",
    ] {
        let zone: Tz = zone.parse().unwrap();
        for line in ["30 2 * * *", "*/20 * * * *", "0 */3 * * *", "15 1,2 * * 0"] {
            let schedule = Schedule::parse(line).unwrap();
            let mut after = at("2011-06-01T00:00:00Z");
            while after < at("2012-06-01T00:00:00Z") {
                let next = schedule.next_after(after, zone).unwrap();
                assert!(next > after, "{line} {zone} {after}");
                after = next;
            }
        }
    }
}
