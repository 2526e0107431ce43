use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn calendar(grain: Grain, zone: &str) -> Calendar {
    Calendar {
        grain,
        zone: zone.parse().unwrap(),
    }
}

fn limits() -> Limits {
    Limits {
        now: at("2026-11-21T10:30:00Z"),
        incomplete: false,
        large: false,
    }
}

fn half_open(from: &str, to: &str) -> Range {
    Range::HalfOpen {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn refusal(range: &Range, calendar: Calendar) -> String {
    let error = range.windows(calendar, limits()).unwrap_err();
    assert_eq!(error.kind().policy().exit, 2, "{error}");
    format!("{error} / {}", error.advice())
}

#[test]
fn a_day_is_as_long_as_its_zone_makes_it() {
    let hours = |zone: &str, date: &str| {
        let windows = Range::Date(date.to_owned()).windows(calendar(Grain::Day, zone), limits());
        let windows = windows.unwrap();
        assert_eq!(windows.len(), 1);
        (windows[0].to - windows[0].from).num_minutes() as f64 / 60.0
    };
    assert_eq!(hours("UTC", "2024-03-31"), 24.0);
    assert_eq!(hours("Europe/Berlin", "2024-03-31"), 23.0);
    assert_eq!(hours("Europe/Berlin", "2024-10-27"), 25.0);
    assert_eq!(hours("America/New_York", "2024-03-10"), 23.0);
    assert_eq!(hours("Australia/Lord_Howe", "2024-04-07"), 24.5);
    // midnight does not exist on this day: it begins at 01:00
    assert_eq!(hours("Atlantic/Azores", "2024-03-31"), 23.0);
    // midnight comes twice: the day begins with the first
    assert_eq!(hours("America/Havana", "2024-11-03"), 25.0);
}

#[test]
fn windows_touch_and_never_overlap_whatever_the_zone_does() {
    for (grain, zone) in [
        (Grain::Day, "Europe/Berlin"),
        (Grain::Day, "Pacific/Apia"),
        (Grain::Day, "Africa/Casablanca"),
        (Grain::Hour, "America/St_Johns"),
        (Grain::Week, "America/New_York"),
        (Grain::Month, "Atlantic/Azores"),
    ] {
        let calendar = calendar(grain, zone);
        let mut window = calendar.window_at(at("2011-12-01T12:00:00Z"));
        for _ in 0..900 {
            let next = calendar.after(window);
            assert!(window.from < window.to, "{zone} {window:?}");
            assert_eq!(window.to, next.from, "{zone}");
            assert_eq!(calendar.before(next), window, "{zone}");
            assert_eq!(calendar.window_at(window.from), window, "{zone}");
            assert!(calendar.is_edge(window.from), "{zone} {window:?}");
            window = next;
        }
    }
}

#[test]
fn a_date_that_a_zone_left_out_has_no_window() {
    let calendar = calendar(Grain::Day, "Pacific/Apia");
    let before = calendar.window_at(at("2011-12-29T12:00:00Z"));
    assert_eq!(calendar.label(before), "2011-12-29");
    assert_eq!(calendar.label(calendar.after(before)), "2011-12-31");
}

#[test]
fn the_repeated_hour_of_autumn_is_two_windows() {
    let calendar = calendar(Grain::Hour, "Europe/Berlin");
    let windows = Range::Date("2024-10-27".to_owned()).windows(calendar, limits());
    let labels: Vec<_> = windows
        .unwrap()
        .into_iter()
        .map(|window| calendar.label(window))
        .collect();
    assert_eq!(labels.len(), 25);
    assert_eq!(
        labels[2..4],
        ["2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"]
    );
}

#[test]
fn ranges_expand_to_the_windows_they_name() {
    let day = calendar(Grain::Day, "Europe/Berlin");
    let labels = |range: Range, calendar: Calendar| {
        let windows = range.windows(calendar, limits()).unwrap();
        let labels: Vec<_> = windows.iter().map(|w| calendar.label(*w)).collect();
        labels.join(" ")
    };
    assert_eq!(
        labels(half_open("2024-03-30", "2024-04-01"), day),
        "2024-03-30 2024-03-31"
    );
    // what Airflow hands over: instants, on the edge in the job's zone
    assert_eq!(
        labels(
            half_open("2024-03-30T23:00:00+00:00", "2024-03-31T22:00:00Z"),
            day
        ),
        "2024-03-31"
    );
    let through = Range::Through {
        from: "2024-03-30".to_owned(),
        through: "2024-03-31".to_owned(),
    };
    assert_eq!(labels(through, day), "2024-03-30 2024-03-31");
    assert_eq!(
        labels(Range::Last("2d".to_owned()), day),
        "2026-11-19 2026-11-20"
    );
    let week = calendar(Grain::Week, "UTC");
    assert_eq!(
        labels(Range::Date("2024-03-31".to_owned()), week),
        "week of 2024-03-25"
    );
    assert_eq!(
        labels(Range::Last("2w".to_owned()), week),
        "week of 2026-11-02 week of 2026-11-09"
    );
    let month = calendar(Grain::Month, "UTC");
    assert_eq!(labels(Range::Last("1mo".to_owned()), month), "2026-10");
    assert_eq!(
        labels(half_open("2024-01-01", "2024-03-01"), month),
        "2024-01 2024-02"
    );
}

#[test]
fn every_senseless_range_is_refused_with_its_reason() {
    let day = calendar(Grain::Day, "Europe/Berlin");
    let cases = [
        (
            half_open("2024-03-31", "2024-03-31"),
            "Airflow 3 a cron string",
        ),
        (half_open("2024-03-31", "2024-03-30"), "is reversed"),
        (half_open("2030-01-01", "2030-01-02"), "lies in the future"),
        (
            half_open("2026-11-01", "2027-11-01"),
            "reaches into the future",
        ),
        (half_open("2026-11-20", "2026-11-22"), "has not ended yet"),
        (
            half_open("1990-01-01", "2024-01-01"),
            "more than 4000 windows",
        ),
        (half_open("0024-01-01", "2024-01-01"), "reach from 1970"),
        (
            half_open("2024-02-30", "2024-03-02"),
            "no date of the calendar",
        ),
        (
            half_open("24-02-03", "2024-03-02"),
            "no date of the calendar",
        ),
        (
            half_open("2024-3-1", "2024-03-02"),
            "no date of the calendar",
        ),
        (
            half_open("yesterday", "2024-03-02"),
            "no date of the calendar",
        ),
        (half_open("2024-03-30T00:00:00", "2024-03-31"), "no instant"),
        (
            half_open("2024-03-30T00:00:00Z", "2024-03-31"),
            "the nearest are 2024-03-30T00:00:00+01:00 and 2024-03-31T00:00:00+01:00",
        ),
        (Range::Date("2026-11-21".to_owned()), "has not ended yet"),
        (Range::Last("0d".to_owned()), "no width"),
        (Range::Last("7 days".to_owned()), "no span of time"),
        (Range::Last("5h".to_owned()), "no whole number of windows"),
        (Range::Last("99999999999d".to_owned()), "no span of time"),
    ];
    for (range, expected) in cases {
        let message = refusal(&range, day);
        assert!(message.contains(expected), "{range}: {message}");
    }
    let week = calendar(Grain::Week, "UTC");
    let message = refusal(&half_open("2024-03-26", "2024-04-01"), week);
    assert!(message.contains("2024-03-25T00:00:00Z"), "{message}");
}

#[test]
fn what_is_usually_a_slip_can_be_meant() {
    let day = calendar(Grain::Day, "UTC");
    let large = Limits {
        large: true,
        ..limits()
    };
    let many = half_open("1990-01-01", "2024-01-01").windows(day, large);
    assert_eq!(many.unwrap().len(), 12_418);
    let today = Limits {
        incomplete: true,
        ..limits()
    };
    assert!(
        Range::Date("2026-11-21".to_owned())
            .windows(day, today)
            .is_ok()
    );
}

#[test]
fn hours_are_refused_only_where_a_zone_moves_by_half_an_hour() {
    assert!(calendar(Grain::Hour, "Asia/Kolkata").cuts_whole_hours());
    assert!(calendar(Grain::Hour, "Europe/Berlin").cuts_whole_hours());
    assert!(!calendar(Grain::Hour, "Australia/Lord_Howe").cuts_whole_hours());
}

#[test]
fn a_whole_table_is_one_window_and_no_range() {
    let table = calendar(Grain::Table, "Europe/Berlin");
    let window = table.window_at(at("2024-03-31T12:00:00Z"));
    assert_eq!(window, Window::EVERYTHING);
    assert_eq!(window.to, at("2149-01-01T00:00:00Z"));
    assert_eq!(table.label(window), "whole table");
    // a walk over windows ends behind it
    assert!(table.after(window).from >= window.to);
    assert!(refusal(&Range::Last("7d".to_owned()), table).contains("leave the range out"));
    // its input is what the last midnight of its zone has behind it
    let input = table.input_of(window, at("2024-03-31T12:00:00Z"));
    assert_eq!(input.to, at("2024-03-30T23:00:00Z"));
    let day = calendar(Grain::Day, "Europe/Berlin").window_at(input.from);
    assert_eq!(
        calendar(Grain::Day, "UTC").input_of(day, at("2024-03-31T12:00:00Z")),
        day
    );
}

#[test]
fn a_span_looks_back_on_whole_windows_over_every_change_of_clocks() {
    for (grain, zone, at_, span, windows) in [
        (Grain::Day, "UTC", "2024-03-31T12:00:00Z", "3d", 4),
        (
            Grain::Day,
            "Europe/Berlin",
            "2024-03-31T12:00:00Z",
            "2w",
            15,
        ),
        (
            Grain::Day,
            "Europe/Berlin",
            "2024-03-31T12:00:00Z",
            "1mo",
            32,
        ),
        // the day before has 25 hours, the next example's 23
        (
            Grain::Hour,
            "Europe/Berlin",
            "2024-10-28T00:30:00+01:00",
            "1d",
            26,
        ),
        (
            Grain::Hour,
            "Europe/Berlin",
            "2024-04-01T00:30:00+02:00",
            "1d",
            24,
        ),
        (
            Grain::Hour,
            "Europe/Berlin",
            "2024-10-28T00:30:00+01:00",
            "24h",
            25,
        ),
        (
            Grain::Week,
            "Europe/Berlin",
            "2024-11-01T12:00:00Z",
            "14d",
            3,
        ),
        (
            Grain::Month,
            "America/Havana",
            "2024-11-15T12:00:00Z",
            "2mo",
            3,
        ),
        // midnight does not exist on the last day
        (
            Grain::Day,
            "America/Santiago",
            "2025-09-07T12:00:00Z",
            "7d",
            8,
        ),
        (Grain::Day, "Asia/Beirut", "2024-03-31T12:00:00Z", "1mo", 32),
    ] {
        let calendar = calendar(grain, zone);
        let last = calendar.window_at(at(at_));
        let span = Span::parse(span).unwrap();
        assert!(span.fits(grain), "{span} {grain}");
        let found = calendar.looking_back(last, span);
        assert_eq!(found.len(), windows, "{span} {grain} {zone}");
        assert_eq!(found.last(), Some(&last));
        assert!(found.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
    for (grain, span) in [
        (Grain::Day, "3h"),
        (Grain::Week, "3d"),
        (Grain::Week, "1mo"),
        (Grain::Month, "4w"),
        (Grain::Table, "1d"),
    ] {
        assert!(!Span::parse(span).unwrap().fits(grain), "{span} {grain}");
    }
    assert_eq!(Span::parse("3 days"), None);
    assert_eq!(Span::parse("d"), None);
}
