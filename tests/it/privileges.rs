//! The roles of docs/security.md, and no more, on the real PostgreSQL: what each command needs of the source.
//! Kafka's ACLs are in `tls_kafka`.

use std::time::Duration;

use bullion::config::{self, LeasePlace, Postgres};
use bullion::lease::Lease;

use crate::support::postgres::{address, connect};
use crate::support::{PATIENCE, SourceProject, stack, wait_for};

const NAME: &str = "privileges";

/// As docs/security.md has them; the roles belong to the whole server, so they bear the test's name.
const ROLES: &str = "
CREATE TABLE public.notes (id int PRIMARY KEY, note text);
INSERT INTO public.notes VALUES (1, 'a'), (2, 'b');
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE ROLE privileges_reader LOGIN PASSWORD '@PASSWORD@';
GRANT USAGE ON SCHEMA public TO privileges_reader;
GRANT SELECT ON public.notes TO privileges_reader;

CREATE ROLE privileges_connector LOGIN REPLICATION PASSWORD '@PASSWORD@';
GRANT USAGE ON SCHEMA public TO privileges_connector;
GRANT SELECT ON public.notes TO privileges_connector;
CREATE PUBLICATION bullion_privileges FOR TABLE public.notes;

CREATE ROLE privileges_lease LOGIN PASSWORD '@PASSWORD@';
CREATE SCHEMA privileges_lease AUTHORIZATION privileges_lease;
";
const ROLE_NAMES: [&str; 3] = [
    "privileges_reader",
    "privileges_connector",
    "privileges_lease",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_command_works_with_the_documented_role_and_no_more() {
    let server = connect("postgres").await;
    let shop = SourceProject::new(NAME, "").await;
    for role in ROLE_NAMES {
        let drop = format!("DROP ROLE IF EXISTS {role}");
        server.batch_execute(&drop).await.unwrap();
    }
    // the worker's environment holds one password
    let password = stack("BULLION_POSTGRES_PASSWORD");
    let roles = ROLES.replace("@PASSWORD@", &password);
    shop.client.batch_execute(&roles).await.unwrap();
    let superuser = format!("//{}:", stack("BULLION_POSTGRES_USER"));
    let url = |role: &str| address(NAME).replacen(&superuser, &format!("//{role}:"), 1);

    // `new`: SELECT on the table
    let reader = url("privileges_reader");
    let as_reader = [("BULLION_POSTGRES_URL", reader.as_str())];
    let new = "new silver notes --from-postgres public.notes";
    shop.run_with(new, &as_reader).await.exits(0);
    let (read, connection) = tokio_postgres::connect(&reader, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let refused = read.batch_execute("INSERT INTO public.notes VALUES (3, 'c')");
    assert!(refused.await.is_err());

    // a connector: REPLICATION, SELECT, and a publication that its owner made; `apply` looks with the reader's eyes
    let new = "new connector privileges --from-postgres public.notes";
    shop.run_with(new, &as_reader).await.exits(0);
    let file = "jobs/connectors/privileges.json";
    let mut connector: serde_json::Value = serde_json::from_str(&shop.read(file)).unwrap();
    connector["database.user"] = "privileges_connector".into();
    connector["publication.autocreate.mode"] = "disabled".into();
    std::fs::write(shop.path(file), connector.to_string()).unwrap();
    let applied = shop.run_with("connectors apply", &as_reader).await.exits(0);
    assert!(
        applied.text().contains("its tasks run"),
        "{}",
        applied.text()
    );
    let change = "INSERT INTO public.notes VALUES (4, 'd')";
    shop.client.batch_execute(change).await.unwrap();
    let read_so_far = "SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid
        WHERE s.slot_name = 'bullion_privileges' AND r.usename = 'privileges_connector' AND r.sent_lsn >= '@END@'";
    let end: String = shop
        .client
        .query_one("SELECT pg_current_wal_lsn()::text", &[])
        .await
        .unwrap()
        .get(0);
    let sent = read_so_far.replace("@END@", &end);
    wait_for("the change to be sent", PATIENCE, || async {
        (shop.count(&sent).await == 1).then_some(())
    })
    .await;

    // slot and publication are dropped by who owns the publication
    let delete = "connectors delete privileges --drop-slot";
    let connector = url("privileges_connector");
    let as_connector = [("BULLION_POSTGRES_URL", connector.as_str())];
    let refused = shop.run_with(delete, &as_connector).await.text();
    assert!(
        refused.contains("must be owner of publication"),
        "{refused}"
    );
    shop.run(delete).await.exits(0);

    // a lease: a schema of its own
    let lease = config::Lease {
        place: LeasePlace::Postgres(Postgres::new(&url("privileges_lease"), None).unwrap()),
        ttl: Duration::from_secs(60),
    };
    let held = Lease::acquire(&lease, "gold.daily", 0).await.unwrap();
    held.check().await.unwrap();
    held.release().await;
    let table = "SELECT count(*) FROM pg_tables WHERE schemaname = 'privileges_lease' AND tablename = 'bullion_leases'";
    assert_eq!(shop.count(table).await, 1);
}
