//! TLS, SCRAM and ACLs of a real Kafka: who is let in, and what is said to the others, at once and without secrets.

use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::kafka::Topic;
use crate::support::program::Ran;
use crate::support::secure_kafka::{PASSWORD, SecureKafka, USER};
use crate::support::stream::Stream;
use crate::support::{Engine, PATIENCE, wait_for};

/// librdkafka would try a wrong password for ever: an answer has to come well before it gives up on a lost broker.
const AT_ONCE: Duration = Duration::from_secs(9);

/// One broker for both: it takes longer to start than all that is asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn kafka_lets_in_who_is_known_to_what_is_allowed() {
    let kafka = SecureKafka::start().await;
    kafka_is_believed_by_its_ca_and_believes_the_password(&kafka).await;
    ingest_needs_no_more_than_the_documented_acls_and_ends_when_its_password_changes(&kafka).await;
}

async fn kafka_is_believed_by_its_ca_and_believes_the_password(kafka: &SecureKafka) {
    let topic = Topic::create_on(&kafka.plain(), "tls_kafka", 1).await;
    topic.insert(0..5);
    let mut stream = Stream::over(topic, &Engine::of_stack(), "tls_kafka").await;
    let stranger = Authority::new(kafka.folder(), "stranger");
    let authority = kafka.authority.file();

    let mut run = |brokers: String, variables: &[(&str, &str)]| {
        stream.project.set("BULLION_KAFKA_BROKERS", &brokers);
        for variable in ["SECURITY", "CA_FILE", "USER", "PASSWORD"] {
            stream.project.unset(&format!("BULLION_KAFKA_{variable}"));
        }
        for (variable, value) in variables {
            stream
                .project
                .set(&format!("BULLION_KAFKA_{variable}"), value);
        }
        let began = Instant::now();
        let ran = stream.catch_up();
        (ran, began.elapsed())
    };
    let refused = |(ran, took): (Ran, Duration), words: &[&str]| {
        assert!(took < AT_ONCE, "{took:?}");
        let ran = ran.exits(2);
        for word in words {
            assert!(ran.text().contains(word), "no `{word}` in: {}", ran.text());
        }
        for secret in [PASSWORD, "not-the-password"] {
            assert!(!ran.text().contains(secret), "{}", ran.text());
        }
    };
    let ca = authority.to_str().unwrap();
    let tls = [("SECURITY", "ssl"), ("CA_FILE", ca)];

    refused(
        run(
            kafka.tls(),
            &[
                ("SECURITY", "ssl"),
                ("CA_FILE", stranger.file().to_str().unwrap()),
            ],
        ),
        &[
            "TLS to kafka at",
            "nobody who is trusted here signed its certificate",
            "set kafka.ca_file",
        ],
    );
    refused(
        run(kafka.tls_by_another_name(), &tls),
        &[
            "TLS to kafka at localhost",
            "its certificate is for another name",
            "kafka.brokers",
        ],
    );
    refused(run(kafka.expired(), &tls), &["its certificate has expired"]);

    let sasl = |password: &'static str| {
        [
            ("SECURITY", "sasl_ssl"),
            ("CA_FILE", ca),
            ("USER", USER),
            ("PASSWORD", password),
        ]
    };
    refused(
        run(kafka.sasl(), &sasl("not-the-password")),
        &[
            "refused us: user or password is wrong",
            "BULLION_KAFKA_PASSWORD",
        ],
    );
    refused(
        run(kafka.sasl(), &sasl(PASSWORD)),
        &[
            "describe topic",
            "give kafka.user READ and DESCRIBE on the topic",
        ],
    );
    let (ran, _) = run(kafka.tls(), &tls);
    assert_eq!(ran.exits(0).json()["status"], "done");
    assert_eq!(stream.count().await, 5);
    let rejected = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.number(&rejected).await, 0);
}

async fn ingest_needs_no_more_than_the_documented_acls_and_ends_when_its_password_changes(
    kafka: &SecureKafka,
) {
    let topic = Topic::create_on(&kafka.plain(), "acl_kafka", 1).await;
    topic.insert(0..5);
    let mut stream = Stream::over(topic, &Engine::of_stack(), "acl_kafka").await;
    for (variable, value) in [
        ("BROKERS", kafka.sasl().as_str()),
        ("SECURITY", "sasl_ssl"),
        ("CA_FILE", kafka.authority.file().to_str().unwrap()),
        ("USER", USER),
        ("PASSWORD", PASSWORD),
    ] {
        stream
            .project
            .set(&format!("BULLION_KAFKA_{variable}"), value);
    }
    kafka.let_user_read(&stream.topic.name, "another-group");
    let ran = stream.catch_up().exits(2);
    assert!(
        ran.text().contains("give kafka.user READ on the group"),
        "{}",
        ran.text()
    );
    kafka.let_user_read(&stream.topic.name, &stream.group);
    stream.ends("done");
    assert_eq!(stream.count().await, 5);
    assert_eq!(stream.committed(), 5);

    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(5..10);
    wait_for("the rows", PATIENCE, || async {
        (stream.count().await == 10).then_some(())
    })
    .await;
    kafka.change_password();
    // asked for it every two seconds: see `connections.max.reauth.ms`
    assert_eq!(ingest.wait(PATIENCE), 2);
    let log = stream.project.log();
    assert!(log.contains("user or password is wrong"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}
