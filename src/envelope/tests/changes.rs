use super::{cell, job, told};
use crate::job::Encoding::{self, Plain};

fn orders() -> crate::job::SilverJob {
    job(&[("name", "Nullable(String)", Plain)])
}

const KEY: Option<&str> = Some(r#"{"id":1}"#);

#[test]
fn a_change_becomes_the_row_after_it_and_a_delete_names_its_key() {
    let orders = orders();
    let told = |value: &str| told(&orders, KEY, Some(value));
    for op in ["c", "u", "r"] {
        let value = format!(
            r#"{{"before":null,"after":{{"id":1,"name":"a\tb"}},"source":{{"lsn":5}},"op":"{op}"}}"#
        );
        assert_eq!(told(&value), r#"row: {"id":1,"name":"a\tb"}"#, "{op}");
    }
    let delete = r#"{"before":{"id":1,"name":"x"},"after":null,"op":"d"}"#;
    assert_eq!(told(delete), r#"delete: {"id":1,"name":null}"#);
    let wrapped =
        r#"{"schema":null,"payload":{"before":null,"after":{"name":null,"id":1},"op":"c"}}"#;
    assert_eq!(told(wrapped), r#"row: {"id":1,"name":null}"#);
}

#[test]
fn numbers_arrive_exactly_or_not_at_all() {
    for (kind, json, becomes) in [
        ("Int64", "9007199254740993", "9007199254740993"),
        ("Int64", "-9223372036854775808", "-9223372036854775808"),
        ("UInt64", "18446744073709551615", "18446744073709551615"),
        ("Int8", "300", "reject: out_of_range v"),
        ("Int32", "1.5", "reject: bad_value v"),
        ("Int32", "\"12\"", "reject: bad_value v"),
        ("Int8", "true", "reject: bad_value v"),
        ("Decimal(10, 2)", "\"123.45\"", "\"123.45\""),
        ("Decimal(10, 2)", "123.456", "reject: precision_loss v"),
        (
            "DateTime64(6, 'UTC')",
            "\"2020-01-01T00:00:00+02:00\"",
            "\"2019-12-31T22:00:00.000000Z\"",
        ),
    ] {
        assert_eq!(cell(kind, Plain, json), becomes, "{kind} {json}");
    }
    assert_eq!(
        cell("DateTime64(6, 'UTC')", Encoding::Micros, "1529507596945104"),
        "\"2018-06-20T15:13:16.945104Z\""
    );
    assert_eq!(
        cell("Decimal(10, 2)", Encoding::Unscaled, "\"MDk=\""),
        "\"123.45\""
    );
}
