//! Seed → what happens.

use crate::support::Dice;

/// Days of the test: two weeks from Monday, 2024-03-25, the one of 23 hours among them.
pub const DAYS: u64 = 14;
const STEPS: u64 = 12;

#[derive(Debug)]
pub struct Plan {
    pub arrival: Arrival,
    pub earlier: Earlier,
    pub steps: Vec<Step>,
}

/// How changes come into silver, and gold after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// nothing runs beside anything
    InTurns,
    /// ingest runs all along
    Live,
    /// ingest and `schedule`, whose jobs follow silver, run all along
    Followed,
}

/// How the time that a row had before is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    LookedUp,
    /// by the image before, REPLICA IDENTITY FULL
    Told,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// so many statements in PostgreSQL
    Change(u64),
    /// up to the end of the topic, or to a fail point; a live ingest is started again with it
    Ingest(Option<String>),
    /// a command on gold, perhaps one that is killed
    Build(String, Option<String>),
    Replay,
    Repair,
    Resync,
    /// silver from `postgres` or `kafka`
    Fill(&'static str),
    /// old versions are gone
    Merge,
}

pub fn of(seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    // the first throws of close seeds are alike
    let _ = (0..8).map(|_| dice.below(2)).last();
    let arrival = match seed % 3 {
        0 => Arrival::Followed,
        1 => Arrival::InTurns,
        _ => Arrival::Live,
    };
    Plan {
        arrival,
        earlier: match dice.below(3) {
            0 => Earlier::Told,
            _ => Earlier::LookedUp,
        },
        steps: (0..STEPS).map(|_| step(&mut dice)).collect(),
    }
}

fn step(dice: &mut Dice) -> Step {
    match dice.below(100) {
        0..30 => Step::Change(1 + dice.below(12)),
        30..55 => Step::Ingest((dice.below(3) == 0).then(|| killed(dice, &INGEST))),
        55..90 => {
            let command = command(dice);
            Step::Build(command, (dice.below(3) == 0).then(|| killed(dice, &GOLD)))
        }
        90..92 => Step::Replay,
        92..94 => Step::Repair,
        94..95 => Step::Resync,
        95..97 => Step::Fill("postgres"),
        97..98 => Step::Fill("kafka"),
        _ => Step::Merge,
    }
}

const INGEST: [&str; 7] = [
    "decoded",
    "times-entered",
    "before-insert",
    "insert-acked",
    "touched",
    "before-commit",
    "checkpoint-written",
];
const GOLD: [&str; 4] = [
    "staging-filled",
    "lease-checked",
    "swap-announced",
    "swapped",
];

fn killed(dice: &mut Dice, points: &[&str]) -> String {
    let point = points[usize::try_from(dice.below(points.len() as u64)).unwrap()];
    format!("{point}:{}:kill", 1 + dice.below(3))
}

fn command(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..3 => "gold --dirty".to_owned(),
        3 => "gold --missing --dirty".to_owned(),
        4 => "gold weekly --dirty".to_owned(),
        5 => "gold whole".to_owned(),
        6..8 => format!("gold daily {}", range(dice)),
        8 => format!("backfill daily {}", range(dice)),
        _ => format!("backfill daily {} --rebuild --parallel 3", range(dice)),
    }
}

fn range(dice: &mut Dice) -> String {
    let first = dice.below(DAYS);
    let last = first + 1 + dice.below(DAYS - first);
    format!("--from {} --to {}", day(first), day(last))
}

pub fn day(number: u64) -> chrono::NaiveDate {
    let monday = chrono::NaiveDate::from_ymd_opt(2024, 3, 25).unwrap();
    monday + chrono::Days::new(number)
}

#[test]
fn a_seed_gives_the_same_plan_again_and_another_one_another() {
    let shown = |seed| format!("{:?}", of(seed));
    assert_eq!(shown(17), shown(17));
    assert_ne!(shown(17), shown(20));
}
