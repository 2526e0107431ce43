//! Random values of every type, from PostgreSQL through Debezium and Kafka to silver; the seed gives them again.

use crate::support::{Dice, Engine, Project, Source};

use super::cases::{Case, PREPARE, cases};
use super::{assert_same, make_job, table};

const SEED: u64 = 20_260_921;
const SNAPSHOT: u64 = 100;
const STREAMED: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn random_values_of_every_type_arrive_as_they_are() {
    let name = "types_random";
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let cases = cases();
    let mut dice = Dice::new(SEED);
    source.run(PREPARE).await;
    source.run(&table(&cases)).await;
    for id in 0..SNAPSHOT {
        source.run(&insert(&cases, id, &mut dice)).await;
    }
    source.publish(&["types"], &[]).await;
    make_job(&mut project, &source, "types", "debezium-json");
    for id in SNAPSHOT..SNAPSHOT + STREAMED {
        source.run(&insert(&cases, id, &mut dice)).await;
        let other = dice.below(id);
        if dice.below(4) == 0 {
            source
                .run(&format!("DELETE FROM types WHERE id = {other}"))
                .await;
        } else {
            source.run(&update(&cases, other, &mut dice)).await;
        }
    }
    assert_same(&project, &source, &cases, &format!("seed {SEED}")).await;
}

fn insert(cases: &[Case], id: u64, dice: &mut Dice) -> String {
    let columns: Vec<String> = cases
        .iter()
        .map(|case| format!("{0}, {0}_or_null", case.name))
        .collect();
    let values: Vec<String> = cases
        .iter()
        .map(|case| format!("{}, {}", value(case, dice), or_null(case, dice)))
        .collect();
    format!(
        "INSERT INTO types (id, {}) VALUES ({id}, {})",
        columns.join(", "),
        values.join(", ")
    )
}

/// Of a few columns, as updates are.
fn update(cases: &[Case], id: u64, dice: &mut Dice) -> String {
    let mut set = vec!["id = id".to_owned()];
    for case in cases {
        if dice.below(5) == 0 {
            set.push(format!("{0}_or_null = {1}", case.name, or_null(case, dice)));
        }
        if dice.below(5) == 0 {
            set.push(format!("{} = {}", case.name, value(case, dice)));
        }
    }
    format!("UPDATE types SET {} WHERE id = {id}", set.join(", "))
}

fn or_null(case: &Case, dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => "NULL".to_owned(),
        _ => value(case, dice),
    }
}

/// One that the type holds and silver too; of a type without a rule here one of its known values.
fn value(case: &Case, dice: &mut Dice) -> String {
    let known =
        |dice: &mut Dice| case.values[dice.below(case.values.len() as u64) as usize].to_owned();
    if case.name == "no_number" {
        return known(dice); // spelled as what it is not
    }
    if let Some(element) = case.kind.strip_suffix("[]") {
        let count = dice.below(4);
        let drawn: Option<Vec<String>> = (0..count)
            .map(|_| match dice.below(4) {
                0 => Some("NULL".to_owned()),
                _ => scalar(element, dice),
            })
            .collect();
        return match drawn {
            Some(elements) => format!("ARRAY[{}]::{}", elements.join(", "), case.kind),
            None => known(dice),
        };
    }
    scalar(case.kind, dice).unwrap_or_else(|| known(dice))
}

fn scalar(kind: &str, dice: &mut Dice) -> Option<String> {
    let (name, size) = kind.split_once('(').unwrap_or((kind, ""));
    let size: Vec<u64> = size
        .trim_end_matches(')')
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    Some(match (name, size.as_slice()) {
        ("smallint", _) => format!("({})", signed(dice, 16)),
        ("int", _) => format!("({})", signed(dice, 32)),
        ("bigint", _) => format!("({})", signed(dice, 64)),
        ("oid", _) => format!("{}", bits(dice) as u32),
        ("numeric", [digits @ 1..=76, scale]) if scale <= digits => decimal(dice, *digits, *scale),
        ("numeric", []) => {
            let (digits, scale) = (1 + dice.below(60), dice.below(30));
            decimal(dice, digits.max(scale), scale)
        }
        // by its bits; those of a NaN are more than one
        ("double precision", _) => {
            let value = f64::from_bits(bits(dice));
            let value = if value.is_finite() { value } else { 0.0 };
            format!("'{value:e}'")
        }
        ("real", _) => {
            let value = f32::from_bits(bits(dice) as u32);
            let value = if value.is_finite() { value } else { 0.0 };
            format!("'{value:e}'")
        }
        ("boolean", _) => (dice.below(2) == 0).to_string(),
        ("text" | "citext", _) => quoted(&text(dice, 40)),
        ("varchar", [most]) => quoted(&text(dice, *most)),
        ("uuid", _) => format!("'{:016x}{:016x}'", bits(dice), bits(dice)),
        ("bytea", _) => format!("'\\x{}'", hex(dice)),
        ("json" | "jsonb", _) => {
            let (number, perhaps) = (dice.below(1 << 30), null(dice));
            let document = serde_json::json!({ text(dice, 5): [text(dice, 9), number, perhaps] });
            quoted(&document.to_string())
        }
        ("date", _) => format!("'1900-01-01'::date + {}", dice.below(146_096)),
        ("time", _) => format!(
            "'00:00'::time + interval '{} us'",
            dice.below(86_400) * 1_000_000 + dice.below(1_000_000)
        ),
        ("timestamp" | "timestamptz", _) => format!(
            "'1900-01-01 00:00:00Z'::{name} + interval '{} s {} us'",
            dice.below(12_600_000_000),
            dice.below(1_000_000)
        ),
        ("bit", [count]) => {
            let digits: String = (0..*count)
                .map(|_| if dice.below(2) == 0 { '0' } else { '1' })
                .collect();
            format!("B'{digits}'")
        }
        ("int4range" | "int8range", _) => {
            let from = dice.below(1 << 30);
            format!("'[{from},{})'", from + 1 + dice.below(1000))
        }
        ("inet", _) => {
            let number = bits(dice) as u32;
            format!("'{}'", std::net::Ipv4Addr::from(number))
        }
        ("point", _) => format!("point({}, {})", signed(dice, 20), signed(dice, 20)),
        _ => return None,
    })
}

fn null(dice: &mut Dice) -> Option<u64> {
    (dice.below(2) == 0).then(|| dice.below(100))
}

fn bits(dice: &mut Dice) -> u64 {
    dice.below(1 << 31) << 62 ^ dice.below(1 << 31) << 31 ^ dice.below(1 << 31)
}

/// Small numbers are as frequent as large ones.
fn signed(dice: &mut Dice, width: u32) -> i64 {
    let shift = 64 - width + dice.below(u64::from(width)) as u32;
    bits(dice).cast_signed() >> shift.min(63)
}

fn decimal(dice: &mut Dice, digits: u64, scale: u64) -> String {
    let whole = digits - scale;
    let mut run = |count: u64| -> String {
        let count = dice.below(count + 1);
        (0..count)
            .map(|_| char::from(b'0' + dice.below(10) as u8))
            .collect()
    };
    let (before, after) = (run(whole), run(scale));
    let sign = if dice.below(2) == 0 { "-" } else { "" };
    // a zero that says nothing on either side
    format!("'{sign}0{before}.{after}0'")
}

fn text(dice: &mut Dice, most: u64) -> String {
    const LETTERS: [char; 16] = [
        'a', 'Z', '0', ' ', '\'', '"', '\\', '\n', '\t', 'ä', 'ß', '東', '😀', '\u{1}', '{', ',',
    ];
    let count = dice.below(most + 1);
    (0..count)
        .map(|_| LETTERS[dice.below(LETTERS.len() as u64) as usize])
        .collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn hex(dice: &mut Dice) -> String {
    let count = dice.below(20);
    (0..count)
        .map(|_| format!("{:02x}", dice.below(256)))
        .collect()
}
