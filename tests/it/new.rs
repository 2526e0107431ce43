//! `bullion new` against the real PostgreSQL.

use crate::support::SourceProject;

const SHOP: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN cents AS numeric(12, 2) NOT NULL;
    CREATE TABLE orders (
        shop int, id bigint, small smallint, real_number real, double_number double precision, yes boolean NOT NULL,
        price numeric(10, 2), total cents, any_number numeric, label varchar(20) NOT NULL, letters char(3),
        created timestamptz NOT NULL, local_time timestamp(3), day date, clock time, pause interval, token uuid,
        raw bytea, document jsonb, feeling mood, address inet, cash money, flag bit(1), flags bit(8),
        numbers int[], days date[], period tstzrange, place point,
        doubled bigint GENERATED ALWAYS AS (id * 2) STORED, old_name name,
        PRIMARY KEY (id, shop));
    CREATE TABLE clicks (at timestamptz, note text);
    CREATE VIEW recent AS SELECT * FROM orders;
    CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);";

#[tokio::test(flavor = "multi_thread")]
async fn a_silver_job_has_the_real_types_of_its_table() {
    let shop = SourceProject::new("new_silver", SHOP).await;
    shop.run("new silver orders --from-postgres public.orders --topic-prefix shop")
        .await
        .exits(0);
    let text = shop.read("jobs/silver/orders.toml");
    for expected in [
        r#"topic = "shop.public.orders""#,
        r#"key = ["id", "shop"]"#,
        r#"shop = "Int32""#,
        r#"id = "Int64""#,
        r#"small = "Nullable(Int16)""#,
        r#"real_number = "Nullable(Float32)""#,
        r#"double_number = "Nullable(Float64)""#,
        r#"yes = "Bool""#,
        r#"price = "Nullable(Decimal(10, 2))""#,
        r#"total = "Decimal(12, 2)""#,
        r#"any_number = "Nullable(String)""#,
        r#"label = "String""#,
        r#"letters = "Nullable(String)""#,
        r#"created = "DateTime64(6, 'UTC')""#,
        r#"local_time = { type = "Nullable(DateTime64(6, 'UTC'))", from = "micros" }"#,
        r#"day = { type = "Nullable(Date32)", from = "days" }"#,
        r#"clock = { type = "Nullable(Time64(6))", from = "micros" }"#,
        r#"pause = "Nullable(String)""#,
        r#"token = "Nullable(UUID)""#,
        r#"raw = { type = "Nullable(String)", from = "base64" }"#,
        r#"document = "Nullable(String)""#,
        r#"feeling = "LowCardinality(Nullable(String))""#,
        r#"address = "Nullable(String)""#,
        r#"cash = "Nullable(Decimal(19, 2))""#,
        r#"flag = "Nullable(Bool)""#,
        r#"flags = { type = "Nullable(UInt8)", from = "base64" }"#,
        r#"numbers = { type = "Array(Nullable(Int32))", null = "empty" }"#,
        r#"days = { type = "Array(Nullable(Date32))", from = "days", null = "empty" }"#,
        r#"period = "Nullable(String)""#,
        r#"place = { type = "Nullable(String)", from = "json" }"#,
        r#""doubled", # generated"#,
        r#""old_name", # Debezium sends a `name` as NULL"#,
        "ALTER TABLE public.orders REPLICA IDENTITY FULL;",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    shop.run("check").await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_warned_about_and_a_full_identity_is_no_key() {
    let shop = SourceProject::new("new_keyless", SHOP).await;
    shop.run("new silver clicks --from-postgres clicks")
        .await
        .exits(0);
    let text = shop.read("jobs/silver/clicks.toml");
    assert!(text.contains("key = []"), "{text}");
    assert!(
        text.contains("ALTER TABLE public.clicks REPLICA IDENTITY FULL;"),
        "{text}"
    );
    shop.run("check").await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_source_is_answered_with_what_to_do() {
    let shop = SourceProject::new("new_refused", SHOP).await;
    for (arguments, exit, expected) in [
        (
            "new silver a --from-postgres public.ordrs",
            2,
            "did you mean `public.orders`?",
        ),
        (
            "new silver a --from-postgres sales.orders",
            2,
            "did you mean `public.orders`?",
        ),
        (
            "new silver a --from-postgres public.recent",
            2,
            "name the tables beneath",
        ),
        (
            "new silver a --from-postgres public.scratch",
            2,
            "SET LOGGED",
        ),
        (
            "new silver a-b --from-postgres public.orders",
            2,
            "letters, digits and `_`",
        ),
    ] {
        let ran = shop.run(arguments).await.exits(exit);
        assert!(ran.stderr.contains(expected), "{arguments}: {}", ran.stderr);
    }
    shop.run("new silver a --from-postgres orders")
        .await
        .exits(0);
    let ran = shop
        .run("new silver a --from-postgres orders")
        .await
        .exits(2);
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    shop.run("new silver a --from-postgres orders --force")
        .await
        .exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_down_is_worth_a_retry_and_a_wrong_password_is_not() {
    let shop = SourceProject::new("new_down", SHOP).await;
    let command = "new silver a --from-postgres orders";
    let down = [(
        "BULLION_POSTGRES_URL",
        "postgres://someone@127.0.0.1:1/shop",
    )];
    let ran = shop.run_with(command, &down).await.exits(1);
    assert!(
        ran.stderr
            .contains("cannot reach PostgreSQL at 127.0.0.1:1/shop"),
        "{}",
        ran.stderr
    );
    let ran = shop
        .run_with(command, &[("BULLION_POSTGRES_PASSWORD", "hunter2")])
        .await
        .exits(2);
    assert!(
        ran.stderr.contains("password authentication failed"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_gold_job_passes_check() {
    let shop = SourceProject::new("new_gold", SHOP).await;
    shop.run("new silver orders --from-postgres orders")
        .await
        .exits(0);
    shop.run("new gold daily_orders --from orders")
        .await
        .exits(0);
    let sql = shop.read("jobs/gold/daily_orders.sql");
    assert!(
        sql.contains("`created` >= {from:DateTime64(3, 'UTC')}"),
        "{sql}"
    );
    shop.run("check").await.exits(0);
    let ran = shop.run("new gold other --from ordesr").await.exits(2);
    assert!(
        ran.stderr.contains("did you mean `orders`?"),
        "{}",
        ran.stderr
    );
}
