//! Numbers of every PostgreSQL type.

use super::cases::{Case, case};
use super::spelling::{bool, decimal, float, spelling, text, whole};

const NINES_38: &str = "'99999999999999999999999999999999999999'";
const MINUS_76: &str =
    "'-9999999999999999999999999999999999999999999999999999999999999999999999999999'";
const PLUS_76: &str =
    "'1234567890123456789012345678901234567890123456789012345678901234567890123456'";

pub fn numbers() -> Vec<Case> {
    vec![
        case("small", "smallint", &["-32768", "0", "32767"], whole()),
        case("whole", "int", &["-2147483648", "0", "2147483647"], whole()),
        case(
            "big",
            "bigint",
            &[
                "-9223372036854775808",
                "9007199254740993",
                "9223372036854775807",
            ],
            whole(),
        ),
        case(
            "money_like",
            "numeric(10, 2)",
            &["-99999999.99", "0", "0.01", "1.10"],
            decimal(2),
        ),
        case(
            "n18",
            "numeric(18, 18)",
            &["-0.999999999999999999", "0.000000000000000001"],
            decimal(18),
        ),
        case("n38", "numeric(38, 0)", &[NINES_38, "-1"], decimal(0)),
        case(
            "n38_10",
            "numeric(38, 10)",
            &["-1234567890123456789012345678.0123456789", "0"],
            decimal(10),
        ),
        case(
            "n76",
            "numeric(76, 0)",
            &[MINUS_76, PLUS_76, "0"],
            decimal(0),
        ),
        case(
            "n76_38",
            "numeric(76, 38)",
            &[
                "-99999999999999999999999999999999999999.99999999999999999999999999999999999999",
                "1",
            ],
            decimal(38),
        ),
        case("n77", "numeric(77, 1)", &["1.5", "-2.0"], text()),
        case(
            "hundreds",
            "numeric(3, -2)",
            &["12345", "-99900"],
            decimal(0),
        ),
        case(
            "tiny",
            "numeric(2, 5)",
            &["0.00099", "-0.00001"],
            decimal(5),
        ),
        case(
            "any_digits",
            "numeric",
            &[
                "1e-10",
                "-0.000",
                "1.50",
                "1e40",
                "123456789012345678901234567890.123456789",
                "-7",
            ],
            text(),
        ),
        // as Debezium spells them
        case(
            "no_number",
            "numeric",
            &["'NaN'", "'Infinity'", "'-Infinity'"],
            spelling(
                "CASE ?::text WHEN 'NaN' THEN 'NAN' WHEN 'Infinity' THEN 'POSITIVE_INFINITY' \
                 WHEN '-Infinity' THEN 'NEGATIVE_INFINITY' END",
                "?",
            ),
        ),
        case(
            "cash",
            "money",
            &[
                "'-92233720368547758.08'",
                "'0.01'",
                "'92233720368547758.07'",
            ],
            decimal(2),
        ),
        case(
            "single",
            "real",
            &[
                "1.1",
                "'NaN'",
                "'-Infinity'",
                "'-0'",
                "3.4028235e38",
                "1e-45",
                "16777217",
            ],
            float(),
        ),
        case(
            "double",
            "double precision",
            &[
                "0.1",
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "'-0'",
                "1.7976931348623157e308",
                "5e-324",
            ],
            float(),
        ),
        case("yes", "boolean", &["true", "false"], bool()),
        case("object_id", "oid", &["0", "4294967295"], whole()),
        case(
            "domain",
            "cents",
            &["-999999.99", "9999999999.99"],
            decimal(2),
        ),
        case("domain_of_domain", "cheap", &["0.5"], decimal(2)),
    ]
}
