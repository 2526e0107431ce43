//! `bullion connectors` against the real Kafka Connect, Debezium and PostgreSQL.

use crate::support::{Engine, MariaDb, Project, SourceProject, stack};

const SHOP: &str = "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE clicks (note text);";

/// A connector of the test's own, as `bullion new connector` writes it.
async fn declared(name: &str) -> SourceProject {
    let shop = SourceProject::new(name, SHOP).await;
    let command = format!("new connector {name} --from-postgres public.orders");
    shop.run(&command).await.exits(0);
    shop
}

fn change(shop: &SourceProject, from: &str, to: &str) {
    let file = format!("jobs/connectors/{}.json", shop.name);
    let text = shop.read(&file);
    assert!(text.contains(from), "{from} is not in\n{text}");
    std::fs::write(shop.path(&file), text.replace(from, to)).unwrap();
}

const SLOTS: &str = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
const PUBLICATIONS: &str = "SELECT count(*) FROM pg_publication";

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_applied_twice_shown_and_deleted_with_its_slot() {
    let shop = declared("connectors_life").await;
    let ran = shop.run("connectors apply").await.exits(0);
    assert!(
        ran.stdout
            .contains("connectors_life: created, its tasks run"),
        "{}",
        ran.stdout
    );
    let ran = shop.run("connectors apply").await.exits(0);
    assert!(ran.stdout.contains("unchanged"), "{}", ran.stdout);
    let ran = shop
        .run("connectors status connectors_life --output json")
        .await
        .exits(0);
    assert_eq!(ran.json()["connectors"][0]["tasks"][0], "running");
    assert_eq!(
        (shop.count(SLOTS).await, shop.count(PUBLICATIONS).await),
        (1, 1)
    );

    let ran = shop.run("connectors delete connectors_life").await.exits(0);
    assert!(
        ran.stdout.contains("pg_drop_replication_slot"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        shop.count(SLOTS).await,
        1,
        "nobody said that the slot may go"
    );
    shop.run("connectors status connectors_life").await.exits(1);

    // where it had read to is remembered, so it may come back
    let ran = shop.run("connectors apply connectors_life").await.exits(0);
    assert!(
        ran.stderr
            .contains("slot bullion_connectors_life already exists"),
        "{}",
        ran.stderr
    );
    shop.run("connectors delete connectors_life --drop-slot")
        .await
        .exits(0);
    assert_eq!(
        (shop.count(SLOTS).await, shop.count(PUBLICATIONS).await),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_lose_data_are_refused_before_anything_is_asked() {
    let shop = declared("connectors_rules").await;
    change(
        &shop,
        "\"skipped.operations\": \"none\"",
        "\"skipped.operations\": \"t\"",
    );
    change(&shop, "\"${env:BULLION_POSTGRES_PASSWORD}\"", "\"hunter2\"");
    let nobody = [("BULLION_CONNECT_URL", "http://127.0.0.1:1")];
    let ran = shop.run_with("connectors apply", &nobody).await.exits(2);
    assert!(ran.stderr.contains("2 faults"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("a TRUNCATE never reaches Kafka"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_kafka_connects_validation_is_told() {
    let shop = declared("connectors_validated").await;
    change(
        &shop,
        "\"snapshot.mode\": \"initial\"",
        "\"snapshot.mode\": \"sometimes\"",
    );
    change(
        &shop,
        "\"database.port\": \"${env:BULLION_POSTGRES_PORT}\"",
        "\"database.port\": \"many\"",
    );
    let ran = shop.run("connectors apply").await.exits(2);
    assert!(ran.stderr.contains("`snapshot.mode`: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("`database.port`: "), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_in_kafka_connect_is_nothing_to_retry() {
    let shop = declared("connectors_password").await;
    change(
        &shop,
        "${env:BULLION_POSTGRES_PASSWORD}",
        "${env:BULLION_POSTGRES_HOST}",
    );
    let ran = shop.run("connectors apply").await.exits(2);
    assert!(
        ran.stderr.contains("password authentication failed"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_publication_and_a_missing_table_are_explained() {
    let shop = declared("connectors_preflight").await;
    let publication = "CREATE PUBLICATION bullion_connectors_preflight FOR TABLE clicks";
    shop.client.batch_execute(publication).await.unwrap();
    let ran = shop.run("connectors apply").await.exits(2);
    assert!(
        ran.stderr.contains("already exists, with public.clicks"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("DROP PUBLICATION"), "{}", ran.stderr);
    shop.client
        .batch_execute("DROP PUBLICATION bullion_connectors_preflight")
        .await
        .unwrap();
    change(&shop, "public.orders", "public.order");
    let ran = shop.run("connectors apply").await.exits(2);
    assert!(
        ran.stderr.contains("did you mean `public.orders`?"),
        "{}",
        ran.stderr
    );
    // a keyless table can be captured, but its UPDATEs would begin to fail
    change(&shop, "public.order\"", "public.clicks\"");
    let ran = shop.run("connectors apply --dry-run").await.exits(0);
    assert!(
        ran.stderr.contains("PostgreSQL refuses UPDATE and DELETE"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_connect_that_is_down_is_named() {
    let shop = declared("connectors_down").await;
    let nobody = [("BULLION_CONNECT_URL", "http://127.0.0.1:1")];
    for command in [
        "connectors apply",
        "connectors status",
        "connectors delete connectors_down",
    ] {
        let ran = shop.run_with(command, &nobody).await.exits(1);
        assert!(
            ran.stderr
                .contains("cannot reach Kafka Connect at http://127.0.0.1:1"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_of_mariadb_is_made_applied_and_its_rows_arrive() {
    let mut source = MariaDb::new("connectors_mariadb").await;
    let mut project = Project::new("connectors_mariadb", &Engine::of_stack()).await;
    project.set("BULLION_MYSQL_URL", &source.url());
    project.set("BULLION_CONNECT_URL", &stack("BULLION_CONNECT_URL"));
    source
        .run("CREATE TABLE orders (id bigint unsigned PRIMARY KEY, price decimal(10, 2), since time(3))")
        .await;
    source
        .run("INSERT INTO orders VALUES (18446744073709551615, 1.10, '-100:00:00.5'), (2, NULL, NULL)")
        .await;
    let name = source.name.clone();
    project.succeed(&["new", "connector", &name, "--from-mysql", "orders"]);
    let file = format!("jobs/connectors/{name}.json");
    // the stack's worker knows the server under another name
    let text = std::fs::read_to_string(project.path(&file)).unwrap();
    let text = text.replace("BULLION_MYSQL_", "BULLION_MARIADB_");
    project.write(&file, &text.replace("\"precise\"", "\"long\""));
    let refused = project.run(&["connectors", "apply"]);
    assert_eq!(refused.exit, 2, "{}", refused.text());
    assert!(
        refused.text().contains("wraps what is beyond 2^63"),
        "{}",
        refused.text()
    );
    let mysql = text.replace("mariadb.MariaDbConnector", "mysql.MySqlConnector");
    project.write(&file, &mysql);
    let other = project.run(&["connectors", "apply"]);
    assert_eq!(other.exit, 2, "{}", other.text());
    assert!(
        other.text().contains("mariadb.MariaDbConnector"),
        "{}",
        other.text()
    );
    project.write(&file, &text);
    let applied = project.succeed(&["connectors", "apply"]);
    assert!(
        applied.text().contains("created, its tasks run"),
        "{}",
        applied.text()
    );
    // the topic's name is the connector's
    project.succeed(&["new", "silver", "orders", "--from-mysql", "orders"]);
    project.succeed(&["migrate"]);
    let rows = format!(
        "SELECT id, price, since FROM {}.orders ORDER BY id DESC",
        project.database("silver")
    );
    project
        .ingest_until(
            "the snapshot",
            &rows,
            &[
                "18446744073709551615\t1.1\t-100:00:00.500000",
                "2\t\\N\t\\N",
            ],
        )
        .await;
    source
        .run("UPDATE orders SET price = 3 WHERE id = 2; DELETE FROM orders WHERE id > 2")
        .await;
    project
        .ingest_until("the changes", &rows, &["2\t3\t\\N"])
        .await;
}
