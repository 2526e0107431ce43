//! Casts, masks, and columns that are no fields of the source.

use secrecy::SecretString;

use super::{job, message, tell, told};
use crate::column::{Rows, Type};
use crate::envelope::{Decoder, Headers, Message, constant};
use crate::job::Encoding::Plain;
use crate::job::{Extra, ExtraFrom, Mask, MaskKey, SilverJob};

const KEY: Option<&str> = Some(r#"{"id":7}"#);
/// HMAC-SHA-256 under the key below, by another program.
const OF_ALICE: &str = "bc55b6f5fdc8ddc19d55842db3456c44fab6167acadac9cb71deb86ee883fd8d";
const OF_7: &str = "f69cf4852626eee19b92af564b9413e44aa526cc9e726ab9b8972af1d3b39092";

fn hash() -> Mask {
    Mask::Hash(MaskKey::new(SecretString::from("0123456789abcdef")))
}

/// `id` and `v` of this type, with the option set on `v`.
fn with(kind: &str, set: impl FnOnce(&mut crate::job::Column)) -> SilverJob {
    let mut job = job(&[("v", kind, Plain)]);
    set(&mut job.columns[1]);
    job
}

fn cell(job: &SilverJob, json: &str) -> String {
    let value = format!(r#"{{"before":null,"after":{{"id":7,"v":{json}}},"op":"c"}}"#);
    let told = told(job, KEY, Some(&value));
    let cell = told.strip_prefix(r#"row: {"id":7,"v":"#);
    match cell.and_then(|cell| cell.strip_suffix('}')) {
        Some(cell) => cell.to_owned(),
        None => told,
    }
}

#[test]
fn a_cast_converts_what_converts_exactly() {
    for (kind, json, told) in [
        ("Int32", r#""12""#, "12"),
        ("Int32", r#""-12""#, "-12"),
        ("Int32", "12", "12"),
        ("Int32", r#""012""#, "reject: bad_value v"),
        ("Int32", r#"" 12""#, "reject: bad_value v"),
        ("Int32", r#""12x""#, "reject: bad_value v"),
        ("Int32", r#""""#, "reject: bad_value v"),
        ("Int32", r#""1.5""#, "reject: bad_value v"),
        ("Int8", r#""300""#, "reject: out_of_range v"),
        (
            "UInt64",
            r#""18446744073709551615""#,
            "18446744073709551615",
        ),
        ("Nullable(Int32)", "null", "null"),
        ("Nullable(Int32)", r#""5""#, "5"),
        ("Float64", r#""0.5""#, "0.5"),
        ("Bool", r#""true""#, "true"),
        ("Decimal(10, 2)", r#""1.25""#, r#""1.25""#),
        ("Decimal(10, 2)", r#""1.255""#, "reject: precision_loss v"),
        ("Date32", r#""2024-02-29""#, r#""2024-02-29""#),
        ("String", "12.50", r#""12.50""#),
        ("String", "true", r#""true""#),
        ("String", r#""x""#, r#""x""#),
        ("String", r#"{"a":1}"#, "reject: bad_value v"),
    ] {
        let job = with(kind, |column| column.cast = true);
        assert_eq!(cell(&job, json), told, "{json} as {kind}");
    }
    assert_eq!(
        cell(&with("Int32", |_| ()), r#""12""#),
        "reject: bad_value v"
    );
}

#[test]
fn a_mask_leaves_only_what_it_says() {
    let of = |kind, mask: Mask| with(kind, |column| column.mask = Some(mask));
    let quoted = |text: &str| format!("\"{text}\"");
    let hashed = of("Nullable(String)", hash());
    assert_eq!(cell(&hashed, r#""alice@example.org""#), quoted(OF_ALICE));
    assert_eq!(
        cell(&hashed, r#""\u0061lice@example.org""#),
        quoted(OF_ALICE)
    );
    assert_eq!(cell(&hashed, "7"), quoted(OF_7));
    assert_eq!(cell(&hashed, "null"), "null");
    let last = of("String", Mask::Last(4));
    assert_eq!(
        cell(&last, r#""4111111111111234""#),
        quoted("************1234")
    );
    assert_eq!(cell(&last, r#""äöü€x""#), quoted("*öü€x"));
    assert_eq!(cell(&last, r#""1234""#), quoted("****"));
    assert_eq!(cell(&last, "null"), "reject: null_value v");
    let nothing = of("Nullable(Int32)", Mask::Null);
    for json in ["5", r#""text""#, "null", r#"{"a":[1]}"#] {
        assert_eq!(cell(&nothing, json), "null");
    }
    assert_eq!(format!("{:?}", hash()), "Hash(MaskKey(******))");
}

/// The Kafka key and the image hide the same value alike, so deletes find their rows.
#[test]
fn a_key_is_masked_by_a_hash_in_rows_and_deletes() {
    let mut job = job(&[]);
    job.columns[0].kind = Type::String;
    job.columns[0].mask = Some(hash());
    let row = format!(r#"{{"id":"{OF_7}"}}"#);
    let create = told(&job, KEY, Some(r#"{"after":{"id":7},"op":"c"}"#));
    assert_eq!(create, format!("row: {row}"));
    assert_eq!(told(&job, KEY, None), format!("delete: {row}"));
}

#[test]
fn constants_and_metadata_are_columns_of_every_row() {
    let mut job = job(&[]);
    let mut extra = |name: &str, kind: &str, from| {
        job.extras.push(Extra {
            name: name.to_owned(),
            kind: Type::parse(kind).unwrap(),
            from,
        });
    };
    let region = constant(&Type::parse("LowCardinality(String)").unwrap(), "eu").unwrap();
    extra(
        "region",
        "LowCardinality(String)",
        ExtraFrom::Constant(region),
    );
    extra("at", "Nullable(DateTime64(3, 'UTC'))", ExtraFrom::Timestamp);
    extra("place", "Int64", ExtraFrom::Offset);
    extra("part", "Int32", ExtraFrom::Partition);
    extra("topic", "LowCardinality(String)", ExtraFrom::Topic);
    extra("key", "Nullable(String)", ExtraFrom::Key);
    extra(
        "trace",
        "Nullable(String)",
        ExtraFrom::Header("trace".to_owned()),
    );
    let (mut decoder, mut rows) = (Decoder::new(&job), Rows::new(&job));
    let trace = |name: &str| (name == "trace").then(|| b"abc".to_vec());
    let value = br#"{"after":{"id":7},"op":"c"}"#.as_slice();
    let fate = decoder.decode(
        &Message {
            timestamp: Some(1_700_000_000_123),
            headers: Headers::of(&trace),
            ..message(41, KEY.map(str::as_bytes), Some(value))
        },
        &mut rows,
    );
    assert_eq!(
        tell(&fate, &rows),
        r#"row: {"at":"2023-11-14T22:13:20.123Z","id":7,"key":"{\"id\":7}","part":3,"place":41,"region":"eu","topic":"shop.public.orders","trace":"abc"}"#
    );
    let fate = decoder.decode(&message(42, KEY.map(str::as_bytes), None), &mut rows);
    assert_eq!(
        tell(&fate, &rows),
        r#"delete: {"at":null,"id":7,"key":"{\"id\":7}","part":3,"place":42,"region":"eu","topic":"shop.public.orders","trace":null}"#
    );
    assert!(constant(&Type::Int32, "x").is_none());
}
