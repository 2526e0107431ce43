use super::*;
use crate::job::tests::load;

fn job(grain: &str, cron: &str) -> GoldJob {
    let toml =
        format!("grain = '{grain}'\ntime_column = 'at'\norder_by = ['at']\nschedule = '{cron}'\n");
    let sql = "SELECT {from:DateTime64(3, 'UTC')} AS at, {to:DateTime64(3, 'UTC')} AS until";
    let jobs = load(&[("gold/x.toml", &toml), ("gold/x.sql", sql)]).unwrap();
    jobs.gold[0].clone()
}

fn at(text: &str) -> DateTime<Utc> {
    format!("2024-03-05T{text}:00Z").parse().unwrap()
}

#[test]
fn fires_that_passed_while_one_waited_are_played_in_turn() {
    // the fire of one o'clock waited for its input until ten past four
    let hourly = job("hour", "0 * * * *");
    let now = at("04:10");
    let mut last = at("01:00");
    let mut windows = Vec::new();
    while let Some(fire) = fire_after(&hourly, last, now)
        && fire <= now
    {
        windows.push(last_complete(&hourly, fire).from);
        last = fire;
    }
    assert_eq!(windows, [at("01:00"), at("02:00"), at("03:00")]);
    assert_eq!(fire_after(&hourly, last, now), Some(at("05:00")));
}

#[test]
fn of_fires_that_build_the_same_window_the_last_one_is_played() {
    let daily = job("day", "0 * * * *");
    assert_eq!(
        fire_after(&daily, at("01:00"), at("04:10")),
        Some(at("04:00"))
    );
    assert_eq!(
        fire_after(&daily, at("04:00"), at("04:10")),
        Some(at("05:00"))
    );
}

#[test]
fn a_clock_that_was_wrong_takes_no_fire_away() {
    // a small step back plays none twice
    assert_eq!(counted_from(at("05:00"), at("04:55")), at("05:00"));
    // it was hours ahead for a moment
    assert_eq!(counted_from(at("20:00"), at("04:55")), at("04:55"));
    assert_eq!(counted_from(at("04:00"), at("04:55")), at("04:00"));
}
