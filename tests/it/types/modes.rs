//! One table under every mode of dates, times, decimals and bytes: the schema tells how each value is written.

use crate::support::connector::{Connector, start_connector};
use crate::support::{Engine, PATIENCE, Project, Source, stack, wait_for};

/// `time.precision.mode`, `decimal.handling.mode`, `binary.handling.mode`, and what bytes are read from.
const MODES: [[&str; 4]; 7] = [
    ["structured", "precise", "base64-url-safe", "base64url"],
    ["isostring", "string", "hex", "hex"],
    ["nanoseconds", "double", "bytes", "base64"],
    ["microseconds", "string", "base64", "base64"],
    ["adaptive_time_microseconds", "precise", "bytes", "base64"],
    ["adaptive", "string", "hex", "hex"],
    ["connect", "precise", "bytes", "base64"],
];

const TABLE: &str = "
    CREATE TABLE moments (id bigint PRIMARY KEY, day date, c0 time(0), c3 time(3), c6 time, l0 timestamp(0), l3 timestamp(3), l6 timestamp,
        moment timestamptz, days date[], locals timestamp[], n numeric(10, 2), raw bytea);
    INSERT INTO moments VALUES (1, '2024-02-29', '12:34:56', '12:34:56.789', '12:34:56.789012', '2024-02-29 12:00:01', '2024-02-29 12:00:01.123',
        '2024-02-29 12:00:01.123456', '2024-02-29 12:00:01.123456+02', '{1900-01-01,NULL}', '{\"2024-01-01 00:00:00.000001\",NULL}', -99.99, '\\x00ff7e3f3e'),
        (2, '1900-01-01', '00:00:00', '00:00:00.001', '23:59:59.999999', '1900-01-01', '1969-12-31 23:59:59.999', '2261-12-31 23:59:59.999999',
        '1969-12-31 23:59:59.999999Z', '{}', '{}', 0, ''),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}', 12345678.9, NULL);";

const COLUMNS: &str = "
    id = \"Int64\"
    day = \"Nullable(Date32)\"
    c0 = \"Nullable(Time64(6))\"
    c3 = \"Nullable(Time64(6))\"
    c6 = \"Nullable(Time64(6))\"
    l0 = \"Nullable(DateTime64(6, 'UTC'))\"
    l3 = \"Nullable(DateTime64(6, 'UTC'))\"
    l6 = \"Nullable(DateTime64(6, 'UTC'))\"
    moment = \"Nullable(DateTime64(6, 'UTC'))\"
    days = \"Array(Nullable(Date32))\"
    locals = \"Array(Nullable(DateTime64(6, 'UTC')))\"
    n = \"Decimal(10, 2)\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn dates_times_decimals_and_bytes_arrive_by_every_mode() {
    let name = "types_modes";
    let project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    source.run(TABLE).await;
    let mut connectors = Vec::new();
    for [time, decimal, binary, from] in MODES {
        let connector = format!("{}_{time}", source.name);
        connectors.push(Connector::named(&connector));
        publish(&source, &connector, [time, decimal, binary]).await;
        let job = format!(
            "topic = \"{connector}.public.moments\"\nkey = [\"id\"]\n[columns]{COLUMNS}\
             raw = {{ type = \"Nullable(String)\", from = \"{from}\" }}\n"
        );
        project.write(&format!("jobs/silver/{time}.toml"), &job);
    }
    source
        .run("INSERT INTO moments SELECT id + 10, day, c0, c3, c6, l0, l3, l6, moment, days, locals, n, raw FROM moments")
        .await;
    project.succeed(&["migrate"]);
    for [time, ..] in MODES {
        let sql = format!(
            "SELECT id, day, {}, n, lower(hex(raw)) FROM {name}_silver.{time} ORDER BY id FORMAT TSVRaw",
            [
                "c0", "c3", "c6", "l0", "l3", "l6", "moment", "days", "locals"
            ]
            .map(|column| format!("toString({column})"))
            .join(", ")
        );
        let expected = expected(&source, time).await;
        wait_for(&format!("silver by {time}"), PATIENCE, || async {
            // exit 2 until Debezium has made the topic
            let ran = project.run(&["ingest", "--until-caught-up", time]);
            assert!(matches!(ran.exit, 0 | 2), "{time}: {}", ran.text());
            let found = project.engine.rows(&sql).await;
            let whole = found.len() == expected.len();
            if whole {
                assert_eq!(found, expected, "{time}");
            }
            whole.then_some(())
        })
        .await;
    }
}

/// As ClickHouse spells the same values; `connect` cuts instants to milliseconds before we see them.
async fn expected(source: &Source, time: &str) -> Vec<String> {
    let cut = |column: &str| match time {
        "connect" => format!("date_trunc('milliseconds', {column})"),
        _ => column.to_owned(),
    };
    let clock = |column: &str| format!("to_char({}::interval, 'HH24:MI:SS.US')", cut(column));
    let stamp = |value: &str| format!("to_char({value}, 'YYYY-MM-DD HH24:MI:SS.US')");
    let moment = match time {
        // text, which no mode cuts
        "connect" => stamp("moment AT TIME ZONE 'UTC'"),
        _ => stamp(&cut("moment AT TIME ZONE 'UTC'")),
    };
    let list = |column: &str, element: &str, quote: &str| {
        format!(
            "'[' || coalesce((SELECT string_agg(coalesce('{quote}' || {element} || '{quote}', 'NULL'), ',' ORDER BY n) \
             FROM unnest({column}) WITH ORDINALITY AS u(e, n)), '') || ']'"
        )
    };
    let cells = [
        clock("c0"),
        clock("c3"),
        clock("c6"),
        stamp(&cut("l0")),
        stamp(&cut("l3")),
        stamp(&cut("l6")),
        moment,
        list("days", "e::text", "''"),
        list("locals", &stamp(&cut("e")), "''"),
    ];
    let sql = format!(
        "SELECT id, day, {}, trim_scale(n), encode(raw, 'hex') FROM moments ORDER BY id",
        cells.join(", ")
    );
    source.rows(&sql).await
}

/// A connector of its own for each mode, all reading the one table.
async fn publish(source: &Source, name: &str, [time, decimal, binary]: [&str; 3]) {
    let own = [
        (
            "connector.class",
            "io.debezium.connector.postgresql.PostgresConnector",
        ),
        ("plugin.name", "pgoutput"),
        ("database.hostname", &*stack("BULLION_POSTGRES_HOST")),
        ("database.port", &stack("BULLION_POSTGRES_PORT")),
        ("database.user", &stack("BULLION_POSTGRES_USER")),
        ("database.password", &stack("BULLION_POSTGRES_PASSWORD")),
        ("database.dbname", &source.name),
        ("topic.prefix", name),
        ("table.include.list", "public.moments"),
        ("slot.name", name),
        ("publication.name", &source.name),
        ("publication.autocreate.mode", "filtered"),
        ("value.converter.schemas.enable", "true"),
        ("time.precision.mode", time),
        ("decimal.handling.mode", decimal),
        ("binary.handling.mode", binary),
    ];
    start_connector(name, &own, &[]).await;
}
