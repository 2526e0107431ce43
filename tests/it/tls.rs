//! TLS to ClickHouse, Kafka Connect and PostgreSQL, before real servers: who is believed, and what is said of the others.

use std::path::Path;
use std::time::Duration;

use bullion::config::{self, LeasePlace, Postgres};
use bullion::lease::Lease;

use crate::support::certificates::Authority;
use crate::support::own_postgres::{OwnPostgres, PASSWORD};
use crate::support::program::Ran;
use crate::support::stream::Stream;
use crate::support::tls_front::TlsFront;
use crate::support::{Engine, PATIENCE, Project, stack};

/// Exit 2 (no try again), in these words, and without these secrets.
#[track_caller]
fn refused(ran: Ran, words: &[&str], secret: &str) {
    let ran = ran.exits(2);
    for word in words {
        assert!(ran.text().contains(word), "no `{word}` in: {}", ran.text());
    }
    assert!(!ran.text().contains(secret), "{}", ran.text());
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_is_believed_by_its_ca_and_its_name() {
    let engine = Engine::of_stack();
    let mut stream = Stream::on(&engine, "tls_clickhouse", 1).await;
    stream.topic.insert(0..5);
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let front = TlsFront::before(&engine.url, &authority.issue("127.0.0.1")).await;
    let old = TlsFront::before(&engine.url, &authority.issue_expired("127.0.0.1")).await;
    let project = &mut stream.project;

    project.set(
        "BULLION_CLICKHOUSE_URL",
        &format!("https://127.0.0.1:{}", front.port),
    );
    let ran = project.run(&["ingest", "--until-caught-up"]);
    refused(
        ran,
        &[
            &format!("clickhouse at https://127.0.0.1:{}", front.port),
            "nobody who is trusted here signed its certificate",
            "set clickhouse.ca_file",
        ],
        &engine.password,
    );
    project.set("BULLION_CLICKHOUSE_CA_FILE", text(&stranger.file()));
    let ran = project.run(&["migrate"]);
    refused(ran, &["nobody who is trusted here"], &engine.password);

    project.set("BULLION_CLICKHOUSE_CA_FILE", text(&authority.file()));
    project.succeed(&["migrate"]);
    project.set(
        "BULLION_CLICKHOUSE_URL",
        &format!("https://localhost:{}", front.port),
    );
    let ran = project.run(&["migrate"]);
    refused(ran, &["its certificate is for 127.0.0.1"], &engine.password);
    project.set(
        "BULLION_CLICKHOUSE_URL",
        &format!("https://127.0.0.1:{}", old.port),
    );
    let ran = project.run(&["migrate"]);
    refused(ran, &["its certificate has expired"], &engine.password);
    let plain = engine.url.replace("http:", "https:");
    project.set("BULLION_CLICKHOUSE_URL", &plain);
    let ran = project.run(&["migrate"]);
    refused(
        ran,
        &["it does not speak TLS on that port"],
        &engine.password,
    );

    project.set(
        "BULLION_CLICKHOUSE_URL",
        &format!("https://127.0.0.1:{}", front.port),
    );
    project.set("BULLION_CLICKHOUSE_PASSWORD", "not-the-password");
    let ran = project.run(&["migrate"]);
    refused(ran, &["516"], "not-the-password");

    project.set("BULLION_CLICKHOUSE_PASSWORD", &engine.password);
    stream.ends("done");
    assert_eq!(stream.count().await, 5);
    let rejected = engine
        .number(&format!(
            "SELECT count() FROM {}",
            stream.ops("dead_letters")
        ))
        .await;
    assert_eq!(rejected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_in_mid_run_ends_the_run() {
    let engine = Engine::of_stack();
    let mut stream = Stream::on(&engine, "tls_expires", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let front = TlsFront::before(&engine.url, &authority.issue("127.0.0.1")).await;
    let url = format!("https://127.0.0.1:{}", front.port);
    stream.project.set("BULLION_CLICKHOUSE_URL", &url);
    stream
        .project
        .set("BULLION_CLICKHOUSE_CA_FILE", text(&authority.file()));
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..5);
    crate::support::wait_for("the first rows", PATIENCE, || async {
        (stream.count().await == 5).then_some(())
    })
    .await;
    let front = front
        .replace(&engine.url, &authority.issue_expired("127.0.0.1"))
        .await;
    stream.topic.insert(5..10);
    assert_eq!(ingest.wait(PATIENCE), 2);
    assert!(
        stream.project.log().contains("its certificate has expired"),
        "{}",
        stream.project.log()
    );
    assert_eq!(stream.committed(), 5, "nothing past what was written");
    let _front = front
        .replace(&engine.url, &authority.issue("127.0.0.1"))
        .await;
    stream.ends("done");
    assert_eq!(stream.count().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_connect_is_believed_by_its_ca_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let connect = stack("BULLION_CONNECT_URL");
    let front = TlsFront::before(&connect, &authority.issue("127.0.0.1")).await;
    let mut project = Project::new("tls_connect", &Engine::of_stack()).await;
    std::fs::create_dir(project.path("jobs/connectors")).unwrap();
    let template = r#"{"connector.class": "io.debezium.connector.postgresql.PostgresConnector"}"#;
    project.write("jobs/connectors/tls_connect.json", template);
    project.set(
        "BULLION_CONNECT_URL",
        &format!("https://127.0.0.1:{}", front.port),
    );
    let words = ["Kafka Connect at https://127.0.0.1", "set connect.ca_file"];
    refused(project.run(&["connectors", "status"]), &words, "\u{0}");
    project.set("BULLION_CONNECT_CA_FILE", text(&authority.file()));
    let ran = project.run(&["connectors", "status"]);
    assert!(ran.text().contains("tls_connect"), "{}", ran.text());
    assert!(!ran.text().contains("TLS"), "{}", ran.text());
    project.set(
        "BULLION_CONNECT_URL",
        &format!("https://localhost:{}", front.port),
    );
    let words = ["its certificate is for 127.0.0.1", "connect.url"];
    refused(project.run(&["connectors", "status"]), &words, "\u{0}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_believed_as_libpqs_modes_say() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = OwnPostgres::start(folder.path()).await;
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let table = "CREATE TABLE notes (id int PRIMARY KEY, note text)";
    postgres.client.batch_execute(table).await.unwrap();
    let mut project = Project::new("tls_postgres", &Engine::of_stack()).await;
    project.set("BULLION_POSTGRES_PASSWORD", PASSWORD);
    let ours = format!("&sslrootcert={}", text(&authority.file()));
    let strange = format!("&sslrootcert={}", text(&stranger.file()));
    let mut connect = |host: &str, tls: &str| {
        let url = format!(
            "postgres://postgres@{host}:{}/postgres?{tls}",
            postgres.port
        );
        project.set("BULLION_POSTGRES_URL", &url);
        let _again = std::fs::remove_file(project.path("jobs/silver/notes.toml"));
        project.run(&["new", "silver", "notes", "--from-postgres", "public.notes"])
    };
    let with = |mode: &str, roots: &str| format!("sslmode={mode}{roots}");

    // without TLS
    connect("127.0.0.1", "").exits(0);
    assert!(!postgres.last_was_encrypted());
    let words = ["has no TLS (ssl = off)", "sslmode"];
    refused(connect("127.0.0.1", "sslmode=require"), &words, PASSWORD);

    postgres.set_tls(Some(&authority.issue("127.0.0.1"))).await;
    for (host, tls, encrypted) in [
        ("127.0.0.1", with("disable", ""), false),
        ("127.0.0.1", String::new(), true),
        ("localhost", with("require", ""), true),
        ("localhost", with("verify-ca", &ours), true),
        ("127.0.0.1", with("verify-full", &ours), true),
    ] {
        connect(host, &tls).exits(0);
        assert_eq!(postgres.last_was_encrypted(), encrypted, "{host} {tls}");
    }
    let unknown = "nobody who is trusted here signed its certificate";
    for (host, tls, words) in [
        (
            "localhost",
            with("verify-full", &ours),
            ["its certificate is for 127.0.0.1", "localhost"],
        ),
        (
            "127.0.0.1",
            with("verify-ca", &strange),
            [unknown, "sslrootcert"],
        ),
        // a file of roots makes `require` verify, as in libpq
        (
            "127.0.0.1",
            with("require", &strange),
            [unknown, "sslrootcert"],
        ),
        (
            "127.0.0.1",
            with("verify-full", ""),
            [unknown, "PostgreSQL at 127.0.0.1"],
        ),
        (
            "127.0.0.1",
            with("full", ""),
            ["sslmode is one of", "verify-full"],
        ),
    ] {
        refused(connect(host, &tls), &words, PASSWORD);
    }
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/postgres?{}",
        postgres.port,
        with("verify-full", &ours)
    );
    let lease = config::Lease {
        place: LeasePlace::Postgres(Postgres::new(&url, Some(PASSWORD.into())).unwrap()),
        ttl: Duration::from_secs(60),
    };
    let held = Lease::acquire(&lease, "gold.daily", 0).await.unwrap();
    assert!(postgres.last_was_encrypted());
    held.release().await;

    postgres
        .set_tls(Some(&authority.issue_expired("127.0.0.1")))
        .await;
    connect("127.0.0.1", &with("require", "")).exits(0);
    let words = ["its certificate has expired"];
    refused(
        connect("127.0.0.1", &with("verify-full", &ours)),
        &words,
        PASSWORD,
    );
    project.set("BULLION_POSTGRES_PASSWORD", "not-the-password");
    let ran = project.run(&["new", "silver", "other", "--from-postgres", "public.notes"]);
    refused(ran, &["its certificate has expired"], "not-the-password");
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/postgres?sslmode=require",
        postgres.port
    );
    project.set("BULLION_POSTGRES_URL", &url);
    let ran = project.run(&["new", "silver", "other", "--from-postgres", "public.notes"]);
    refused(ran, &["password authentication failed"], "not-the-password");
}
