use super::*;

fn shown(name: &str, modifier: i32, nullable: bool) -> String {
    let kind = SourceType::Scalar {
        name: name.to_owned(),
        modifier,
        is_enum: name == "mood",
    };
    spell(map(&kind, nullable))
}

fn spell(mapped: Mapped) -> String {
    match mapped {
        Mapped::To { kind, encoding, .. } => format!("{kind} {}", encoding.as_str()),
        Mapped::LeftOut(_) => "left out".to_owned(),
    }
}

#[test]
fn numerics_keep_every_digit() {
    let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
    assert_eq!(
        shown("numeric", modifier(10, 2), false),
        "Decimal(10, 2) plain"
    );
    assert_eq!(
        shown("numeric", modifier(3, -2), false),
        "Decimal(5, 0) plain"
    );
    assert_eq!(
        shown("numeric", modifier(2, 5), true),
        "Nullable(Decimal(5, 5)) plain"
    );
    assert_eq!(shown("numeric", modifier(1000, 2), false), "String plain");
    assert_eq!(shown("numeric", -1, true), "Nullable(String) plain");
}

#[test]
fn types_are_the_real_ones() {
    for (name, nullable, expected) in [
        ("int2", false, "Int16 plain"),
        ("bool", true, "Nullable(Bool) plain"),
        ("timestamptz", false, "DateTime64(6, 'UTC') plain"),
        ("timestamp", true, "Nullable(DateTime64(6, 'UTC')) micros"),
        ("date", false, "Date32 days"),
        ("time", false, "Time64(6) micros"),
        ("uuid", true, "Nullable(UUID) plain"),
        ("bytea", false, "String base64"),
        ("point", false, "String json"),
        ("mood", true, "LowCardinality(Nullable(String)) plain"),
        ("vector", true, "Array(Float64) plain"),
        ("pg_lsn", true, "left out"),
    ] {
        assert_eq!(shown(name, -1, nullable), expected, "{name}");
    }
    assert_eq!(shown("bit", 1, false), "Bool plain");
    assert_eq!(shown("bit", 8, false), "UInt8 base64");
    assert_eq!(shown("bit", 33, true), "Nullable(UInt64) base64");
    assert_eq!(shown("bit", 65, false), "String base64");
    assert_eq!(shown("varbit", 8, false), "String base64");
}

#[test]
fn arrays_hold_nullable_elements_and_are_never_nullable_themselves() {
    let array = |name: &str| {
        let element = SourceType::Scalar {
            name: name.to_owned(),
            modifier: -1,
            is_enum: false,
        };
        spell(map(&SourceType::Array(Box::new(element)), true))
    };
    assert_eq!(array("int4"), "Array(Nullable(Int32)) plain");
    assert_eq!(array("date"), "Array(Nullable(Date32)) days");
    assert_eq!(array("hstore"), "Array(Nullable(String)) plain");
    for sent_as_null in ["interval", "money", "ltree", "bit", "point", "time"] {
        assert_eq!(array(sent_as_null), "left out", "{sent_as_null}");
    }
}
