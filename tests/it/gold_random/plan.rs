//! Seed → what happens.

use crate::support::Dice;

/// Days of the test: two weeks from Monday, 2024-03-25, the one of 23 hours among them.
pub const DAYS: u64 = 14;
const STEPS: u64 = 12;

#[derive(Debug)]
pub struct Plan {
    pub arrival: Arrival,
    pub earlier: Earlier,
    /// ingest keeps every message in files
    pub archived: bool,
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
    /// a command on gold, perhaps one that is killed; a backfill of gold is started again then
    Build(String, Option<String>),
    Replay,
    Repair,
    Resync,
    Fill(Fill),
    /// old versions are gone
    Merge,
}

/// Silver from elsewhere, in chunks.
#[derive(Clone, Debug)]
pub struct Fill {
    pub from: From,
    /// further arguments
    pub more: String,
    /// where it is killed
    pub point: Option<String>,
    /// after a kill it goes on; otherwise it is left as it was
    pub again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Postgres,
    Kafka,
    Archive,
    /// what PostgreSQL's COPY says at that moment
    Csv,
}

impl From {
    pub fn word(self) -> &'static str {
        match self {
            From::Postgres => "postgres",
            From::Kafka => "kafka",
            From::Archive => "archive",
            From::Csv => "csv",
        }
    }
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
    let earlier = match dice.below(3) {
        0 => Earlier::Told,
        _ => Earlier::LookedUp,
    };
    let archived = dice.below(2) == 0;
    Plan {
        arrival,
        earlier,
        archived,
        steps: (0..STEPS).map(|_| step(&mut dice, archived)).collect(),
    }
}

fn step(dice: &mut Dice, archived: bool) -> Step {
    match dice.below(100) {
        0..28 => Step::Change(1 + dice.below(12)),
        28..50 => {
            let points = [INGEST.as_slice(), if archived { &ARCHIVE } else { &[] }].concat();
            Step::Ingest((dice.below(3) == 0).then(|| killed(dice, &points)))
        }
        50..80 => {
            let command = command(dice);
            let in_three = if command.starts_with("backfill") {
                2
            } else {
                1
            };
            let is_killed = dice.below(3) < in_three;
            Step::Build(command, is_killed.then(|| killed(dice, &GOLD)))
        }
        80..82 => Step::Replay,
        82..84 => Step::Repair,
        84..85 => Step::Resync,
        85..97 => Step::Fill(fill(dice, archived)),
        _ => Step::Merge,
    }
}

fn fill(dice: &mut Dice, archived: bool) -> Fill {
    let from = match dice.below(4) {
        0 => From::Postgres,
        1 => From::Csv,
        2 if archived => From::Archive,
        _ => From::Kafka,
    };
    let mut more = match from {
        From::Postgres | From::Csv => format!("--chunk {}", 4 + dice.below(20)),
        From::Kafka | From::Archive => format!("--chunk {}", 30 + dice.below(90)),
    };
    match (from, dice.below(3)) {
        (From::Csv, 0) => more.push_str(" --overwrite"),
        (From::Csv, _) | (_, 0) => {}
        (_, 1) => more.push_str(" --parallel 3"),
        _ => more.push_str(" --order newest"),
    }
    let mut points = FILL.to_vec();
    if dice.below(3) == 0 {
        more.push_str(" --then-gold");
        points.extend(GOLD);
        points.push("silver-filled");
    }
    Fill {
        from,
        more,
        point: (dice.below(3) > 0).then(|| killed(dice, &points)),
        again: dice.below(4) > 0,
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
const ARCHIVE: [&str; 2] = ["before-archive", "archived"];
const GOLD: [&str; 4] = [
    "staging-filled",
    "lease-checked",
    "swap-announced",
    "swapped",
];
const FILL: [&str; 4] = ["times-entered", "touched", "chunk-written", "chunk-done"];

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
        6 => format!("gold daily {}", range(dice)),
        7..9 => format!("backfill daily {}", range(dice)),
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

#[test]
fn a_hundred_seeds_fill_from_every_source_and_kill_fills_of_each() {
    for from in [From::Postgres, From::Kafka, From::Archive, From::Csv] {
        let steps = (1..=100).flat_map(|seed| of(seed).steps);
        let fills = steps.filter_map(|step| match step {
            Step::Fill(fill) if fill.from == from => Some(fill.point.is_some()),
            _ => None,
        });
        let killed: Vec<bool> = fills.collect();
        let kills = killed.iter().filter(|killed| **killed).count();
        assert!(
            killed.len() > 10 && kills > 5,
            "{from:?}: {} fills, {kills} kills",
            killed.len()
        );
    }
}
