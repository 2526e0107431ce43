//! Seed → what happens when.

use std::time::Duration;

use crate::support::Dice;
use crate::support::lying_front::Lie;
use crate::support::proxy::Weather;

/// How long things go wrong; then everything is healed, and silver has to come right.
const LONG: u64 = 7_000;
/// Processes of the group at most.
pub const MEMBERS: u64 = 3;
/// Sessions of the group, in milliseconds: a member that is paused for longer has lost its partitions.
const SESSION: u64 = 2_000;

#[derive(Debug)]
pub struct Schedule {
    pub group: Group,
    pub partitions: i32,
    /// milliseconds from the start, in order
    pub events: Vec<(u64, Event)>,
}

/// How the group shares its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Cooperative,
    Range,
    RoundRobin,
    Newer,
    /// members of both protocols, as during an upgrade
    Mixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// a process joins, perhaps one that a fail point waits for
    Join(u64, Option<String>),
    Kill(u64),
    Term(u64),
    /// SIGSTOP, and SIGCONT so much later
    Pause(u64, Duration),
    /// ClickHouse's next inserts or bookkeeping
    Lie(Lie, usize),
    Kafka(Weather, Duration),
    ClickHouse(Weather, Duration),
    CutKafka,
    /// a request to ClickHouse ends in its middle
    HalfRequest(i64),
    /// whether what is committed now is in silver now
    Check,
}

impl Group {
    /// librdkafka's properties of a member.
    pub fn properties(self, member: u64) -> String {
        let classic = |assignor: &str| {
            format!(
                "partition.assignment.strategy={assignor},session.timeout.ms={SESSION},heartbeat.interval.ms=500,max.poll.interval.ms=6000"
            )
        };
        let newer = "group.protocol=consumer".to_owned();
        let common = ",socket.timeout.ms=5000,reconnect.backoff.max.ms=500";
        let own = match self {
            Group::Cooperative => classic("cooperative-sticky"),
            Group::Range => classic("range"),
            Group::RoundRobin => classic("roundrobin"),
            Group::Newer => newer,
            Group::Mixed if member.is_multiple_of(2) => newer,
            Group::Mixed => classic("range"),
        };
        own + common
    }
}

pub fn of(seed: u64) -> Schedule {
    let mut dice = Dice::new(seed);
    // the first throws of close seeds are alike
    let _ = (0..8).map(|_| dice.below(2)).last();
    let group = pick(
        &mut dice,
        &[
            Group::Cooperative,
            Group::Range,
            Group::RoundRobin,
            Group::Newer,
            Group::Mixed,
        ],
    );
    let partitions = 1 + i32::try_from(dice.below(6)).unwrap();
    let mut events = vec![(0, Event::Join(0, None))];
    let mut at = 300;
    while at < LONG {
        events.push((at, event(&mut dice)));
        at += 50 + dice.below(700);
    }
    Schedule {
        group,
        partitions,
        events,
    }
}

fn event(dice: &mut Dice) -> Event {
    let member = dice.below(MEMBERS);
    match dice.below(100) {
        0..30 => Event::Join(member, (dice.below(2) == 0).then(|| failpoint(dice))),
        30..45 => Event::Kill(member),
        45..55 => Event::Term(member),
        55..65 => {
            let longest = if dice.below(3) == 0 { 2 * SESSION } else { 500 };
            Event::Pause(member, millis(longest / 2 + dice.below(longest)))
        }
        65..80 => Event::Lie(lie(dice), usize::try_from(1 + dice.below(3)).unwrap()),
        80..87 => Event::Kafka(weather(dice), millis(300 + dice.below(2_500))),
        87..92 => Event::ClickHouse(weather(dice), millis(300 + dice.below(2_500))),
        92..94 => Event::CutKafka,
        94..96 => Event::HalfRequest(i64::try_from(200 + dice.below(4_000)).unwrap()),
        _ => Event::Check,
    }
}

fn failpoint(dice: &mut Dice) -> String {
    let point = pick(
        dice,
        &[
            "after-poll",
            "decoded",
            "dead-letters-written",
            "before-insert",
            "insert-acked",
            "before-commit",
            "during-commit",
            "checkpoint-written",
        ],
    );
    let action = pick(dice, &["kill", "kill", "kill", "hold=1500"]);
    format!("{point}:{}:{action}", 1 + dice.below(4))
}

fn lie(dice: &mut Dice) -> Lie {
    let done = dice.below(2) == 0;
    let late = millis(500 + dice.below(3_000));
    let code = pick(dice, &[209, 241, 242, 243, 252, 319, 999]);
    pick(
        dice,
        &[
            Lie::LoseAnswer,
            Lie::AnswerLate(late),
            Lie::WorkLate(late),
            Lie::HalfBody,
            Lie::Hang,
            Lie::Refuse { code, done },
            Lie::RefuseWith200 { code, done },
            Lie::HalfAnswer,
        ],
    )
}

fn weather(dice: &mut Dice) -> Weather {
    let late = millis(50 + dice.below(500));
    pick(
        dice,
        &[
            Weather::Late(late),
            Weather::Lossy,
            Weather::Narrow(20_000),
            Weather::BlackHole,
            Weather::Down,
        ],
    )
}

fn pick<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    from[usize::try_from(dice.below(from.len() as u64)).unwrap()]
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn a_seed_gives_the_same_schedule_again_and_another_one_another() {
    let shown = |seed| format!("{:?}", of(seed));
    assert_eq!(shown(17), shown(17));
    assert_ne!(shown(17), shown(18));
}
