use super::*;
use crate::job::tests::load;
use crate::ledger::Contents;

fn job(grain: &str) -> GoldJob {
    let toml = format!(
        "grain = '{grain}'\nzone = 'Europe/Berlin'\ntime_column = 'day'\norder_by = ['day']\n"
    );
    let sql =
        "SELECT toDate({from:DateTime64(3, 'UTC')}) AS day, {to:DateTime64(3, 'UTC')} AS until";
    let jobs = load(&[("gold/daily.toml", &toml), ("gold/daily.sql", sql)]).unwrap();
    jobs.gold[0].clone()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What the ledger says of the day of March 2024 that holds this instant, built at its end or, with `~`, before it.
fn known(job: &GoldJob, words: &[(u32, &str)]) -> Vec<Known> {
    let entry = |(day, word): &(u32, &str)| {
        let window = job
            .calendar
            .window_at(at(&format!("2024-03-{day:02}T12:00:00Z")));
        let (state, hash, input_at) = match *word {
            "done" | "~done" => (State::Done, job.sql_hash.as_str(), 7),
            "unchanged" => (State::Unchanged, job.sql_hash.as_str(), 7),
            "old" => (State::Done, "of another SQL", 7),
            "failed" => (State::Failed, job.sql_hash.as_str(), 0),
            "failed again" => (State::Failed, job.sql_hash.as_str(), 7),
            "blocked" => (State::Blocked, job.sql_hash.as_str(), 0),
            "swapping" => (State::Swapping, job.sql_hash.as_str(), 7),
            other => panic!("{other}"),
        };
        Known {
            window,
            state,
            sql_hash: hash.to_owned(),
            staging: String::new(),
            contents: Contents::default(),
            input_at,
            whole: !word.starts_with('~'),
        }
    };
    words.iter().map(entry).collect()
}

fn days(stretches: impl IntoIterator<Item = Stretch>) -> Vec<(String, usize)> {
    let job = job("day");
    let told = |stretch: Stretch| (command(&job, &stretch), stretch.windows);
    stretches.into_iter().map(told).collect()
}

#[test]
fn a_gap_is_what_was_never_built_between_what_readers_see() {
    let job = job("day");
    let ledger = known(
        &job,
        &[
            (1, "failed"),
            (3, "done"),
            (6, "unchanged"),
            (7, "failed"),
            (8, "failed again"),
            (9, "blocked"),
            (10, "done"),
            (11, "failed"),
        ],
    );
    let overview = Overview::of(&job, &ledger, at("2024-03-13T22:59:00Z"));
    assert_eq!(
        days(overview.gaps.clone()),
        [
            (
                "bullion gold daily --from 2024-03-04 --to 2024-03-06".to_owned(),
                2
            ),
            (
                "bullion gold daily --from 2024-03-07 --to 2024-03-08".to_owned(),
                1
            ),
            (
                "bullion gold daily --from 2024-03-09 --to 2024-03-10".to_owned(),
                1
            ),
        ]
    );
    // in Berlin the 13th goes on
    assert_eq!(
        days(overview.behind),
        [(
            "bullion gold daily --from 2024-03-11 --to 2024-03-13".to_owned(),
            2
        )]
    );
    assert_eq!((overview.failing, overview.blocked), (4, 1));
    assert_eq!((overview.gap_windows(), overview.missing().count()), (4, 4));
    assert_eq!(overview.last.unwrap().0, ledger[6].window);
}

#[test]
fn stale_is_what_an_older_sql_built_or_a_build_before_its_end() {
    let job = job("day");
    let ledger = known(
        &job,
        &[
            (1, "done"),
            (2, "old"),
            (3, "~done"),
            (4, "swapping"),
            (5, "~done"),
        ],
    );
    let overview = Overview::of(&job, &ledger, at("2024-03-05T12:00:00Z"));
    // the 5th goes on, and was built for those who cannot wait
    assert_eq!((overview.stale, overview.swapping), (2, 1));
    assert_eq!((overview.gaps.len(), overview.behind), (0, None));
}

#[test]
fn a_day_of_23_hours_is_one_window_and_another_grain_s_windows_are_none() {
    let job = job("day");
    let mut ledger = known(&job, &[(30, "done"), (31, "done")]);
    let hours = self::job("hour");
    ledger.extend(known(&hours, &[(31, "done")]));
    let overview = Overview::of(&job, &ledger, at("2024-04-01T12:00:00Z"));
    assert_eq!(
        (overview.gaps.len(), overview.behind, overview.foreign),
        (0, None, 1)
    );

    let ledger = known(&hours, &[(30, "done"), (31, "done")]);
    let overview = Overview::of(&hours, &ledger, at("2024-03-31T13:00:00Z"));
    let gap = overview.gaps[0];
    assert_eq!((overview.gaps.len(), gap.windows), (1, 23));
    assert_eq!(
        command(&hours, &gap),
        "bullion gold daily --from 2024-03-30T14:00:00+01:00 --to 2024-03-31T14:00:00+02:00"
    );
}

#[test]
fn more_windows_than_a_slip_would_mean_are_told_to_be_meant() {
    let job = job("day");
    let ledger = known(&job, &[(1, "done")]);
    let years = Overview::of(&job, &ledger, at("2040-03-01T12:00:00Z"));
    let behind = years.behind.unwrap();
    assert_eq!(behind.windows, 5_843);
    assert_eq!(
        command(&job, &behind),
        "bullion gold daily --from 2024-03-02 --to 2040-03-01 --allow-large"
    );
}

#[test]
fn what_was_never_built_has_no_gaps() {
    let job = job("day");
    let nothing = Overview::of(&job, &[], at("2024-03-05T12:00:00Z"));
    assert_eq!(nothing, Overview::default());
    let failed = Overview::of(
        &job,
        &known(&job, &[(1, "failed")]),
        at("2024-03-05T12:00:00Z"),
    );
    assert_eq!(
        (failed.last, failed.failing, failed.missing().count()),
        (None, 1, 0)
    );
}

#[test]
fn what_is_built_of_the_future_is_not_the_last_window_and_leaves_no_gap() {
    let job = job("day");
    let ledger = known(&job, &[(3, "done"), (4, "done"), (29, "done")]);
    let overview = Overview::of(&job, &ledger, at("2024-03-06T12:00:00Z"));
    assert_eq!(overview.last.unwrap().0, ledger[1].window);
    assert_eq!(overview.gaps, []);
    assert_eq!(overview.behind.unwrap().windows, 1);
}
