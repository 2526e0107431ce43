//! How both databases spell a value the same.

/// One expression for each database; `?` is the column. Equal values give equal text, different ones different text.
#[derive(Clone)]
pub struct Spelling {
    pub postgres: String,
    pub clickhouse: String,
}

pub fn spelling(postgres: &str, clickhouse: &str) -> Spelling {
    Spelling {
        postgres: postgres.to_owned(),
        clickhouse: clickhouse.to_owned(),
    }
}

/// What the type's output function writes, byte for byte; `?::text` would cut the padding of char(n).
pub fn text() -> Spelling {
    spelling(
        "CASE WHEN ? IS NOT NULL THEN encode(convert_to(format('%s', ?), 'UTF8'), 'hex') END",
        "lower(hex(?))",
    )
}

/// Debezium's `precise` drops the zeros at the end of an unconstrained numeric.
pub fn digits() -> Spelling {
    spelling(
        "trim_scale(?)::text",
        "if(position(?, '.') > 0, trim(TRAILING '.' FROM trim(TRAILING '0' FROM ?)), ?)",
    )
}

pub fn whole() -> Spelling {
    spelling("?::bigint::text", "toString(toInt64(?))")
}

pub fn decimal(scale: u8) -> Spelling {
    spelling("?::numeric::text", &format!("toDecimalString(?, {scale})"))
}

/// By their bits, so that −0 is not 0.
pub fn float() -> Spelling {
    spelling(
        "('x' || encode(float8send(?), 'hex'))::bit(64)::bigint::text",
        "toString(reinterpretAsInt64(toFloat64(?)))",
    )
}

pub fn bool() -> Spelling {
    spelling("?::int::text", "toString(toUInt8(?))")
}

pub fn plain() -> Spelling {
    spelling("?::text", "toString(?)")
}

pub fn instant() -> Spelling {
    spelling(
        "(extract(epoch FROM ?) * 1000000)::bigint::text",
        "toString(toUnixTimestamp64Micro(?))",
    )
}

pub fn clock() -> Spelling {
    spelling("to_char(?::interval, 'HH24:MI:SS.US')", "toString(?)")
}

pub fn bytes() -> Spelling {
    spelling("encode(?, 'hex')", "lower(hex(?))")
}

/// Element by element; NULL is the empty array (`null = "empty"`).
pub fn array(element: Spelling) -> Spelling {
    let (postgres, clickhouse) = (
        element.postgres.replace('?', "e"),
        element.clickhouse.replace('?', "e"),
    );
    Spelling {
        postgres: format!(
            "coalesce(cardinality(?), 0) || ':' || coalesce((SELECT string_agg(coalesce({postgres}, 'null'), ',' ORDER BY n) \
             FROM unnest(?) WITH ORDINALITY AS u(e, n)), '')"
        ),
        clickhouse: format!(
            "toString(length(?)) || ':' || arrayStringConcat(arrayMap(e -> ifNull({clickhouse}, 'null'), ?), ',')"
        ),
    }
}

/// Debezium's ISO 8601: every field, seconds without trailing zeros.
pub fn interval() -> Spelling {
    spelling(
        "CASE WHEN ? IS NOT NULL THEN format('P%sY%sM%sDT%sH%sM%sS', extract(year FROM ?), extract(month FROM ?), extract(day FROM ?), \
         extract(hour FROM ?), extract(minute FROM ?), trim_scale(extract(second FROM ?))) END",
        "?",
    )
}

pub fn point() -> Spelling {
    let of = |place: &str, field: &str| {
        let bits = float();
        (
            bits.postgres.replace('?', &format!("(?)[{place}]")),
            bits.clickhouse
                .replace('?', &format!("JSONExtractFloat(?, '{field}')")),
        )
    };
    let (x, y) = (of("0", "x"), of("1", "y"));
    Spelling {
        postgres: format!("{} || ' ' || {}", x.0, y.0),
        clickhouse: format!("{} || ' ' || {}", x.1, y.1),
    }
}

pub fn hstore() -> Spelling {
    spelling(
        "(SELECT coalesce(string_agg(encode(convert_to(key, 'UTF8'), 'hex') || '=' || \
         coalesce(encode(convert_to(value, 'UTF8'), 'hex'), 'null'), ',' ORDER BY key COLLATE \"C\"), '') \
         FROM each(?) WHERE ? IS NOT NULL HAVING ? IS NOT NULL)",
        "if(isNull(?), NULL, arrayStringConcat(arraySort(arrayMap(pair -> lower(hex(pair.1)) || '=' || \
         if(pair.2 = 'null', 'null', lower(hex(JSONExtractString(pair.2)))), \
         JSONExtractKeysAndValuesRaw(ifNull(?, '{}')))), ','))",
    )
}

/// The first two points of a shape's WKB, which follow nine bytes of header (13 where it has rings).
pub fn ends(axes: [&str; 4]) -> Spelling {
    let bits = float();
    let axes = axes.map(|axis| bits.postgres.replace('?', axis));
    let number = |at: u8| {
        let wkb = "base64Decode(JSONExtractString(ifNull(?, ''), 'wkb'))";
        let header = format!("if(substring({wkb}, 2, 1) = unhex('03'), 13, 9)");
        format!("toString(reinterpretAsInt64(substring({wkb}, {header} + {at}, 8)))")
    };
    let numbers: Vec<String> = [1, 9, 17, 25].into_iter().map(number).collect();
    spelling(
        &axes.join(" || ' ' || "),
        &format!("if(isNull(?), NULL, {})", numbers.join(" || ' ' || ")),
    )
}

/// A circle's center and radius.
pub fn disc() -> Spelling {
    spelling(
        "concat_ws(' ', (center(?))[0], (center(?))[1], radius(?)) || CASE WHEN ? IS NOT NULL THEN '' END",
        "if(isNull(?), NULL, concat(toString(JSONExtractFloat(ifNull(?, ''), 'center', 'x')), ' ', \
         toString(JSONExtractFloat(ifNull(?, ''), 'center', 'y')), ' ', toString(JSONExtractFloat(ifNull(?, ''), 'radius'))))",
    )
}

/// A line's three coefficients.
pub fn line() -> Spelling {
    spelling(
        "?::text",
        "if(isNull(?), NULL, concat('{', toString(JSONExtractFloat(ifNull(?, ''), 'a')), ',', \
         toString(JSONExtractFloat(ifNull(?, ''), 'b')), ',', toString(JSONExtractFloat(ifNull(?, ''), 'c')), '}'))",
    )
}
