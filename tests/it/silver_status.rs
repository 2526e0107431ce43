//! What `bullion status` says of silver jobs by what Kafka tells, and where Kafka tells nothing.

use serde_json::Value;

use crate::support::kafka::Topic;
use crate::support::stream::Stream;

fn silver(stream: &Stream, job: &str) -> Value {
    let told = stream
        .project
        .succeed(&["status", job, "--output", "json"])
        .json();
    told["silver"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_a_topic_holds_beyond_what_its_group_has_committed() {
    let stream = Stream::new("silver_lag", 2).await;
    stream.topic.insert(0..30);
    assert_eq!(silver(&stream, "notes")["lag"], 30, "it never ran");
    stream.ends("done");
    assert_eq!(silver(&stream, "notes")["lag"], 0);
    stream.topic.insert(30..37);
    let notes = silver(&stream, "notes");
    assert_eq!(
        (&notes["lag"], &notes["lag_unknown"]),
        (&7.into(), &Value::Null)
    );
    // one job's topic says nothing of the others
    stream.declare("absent", &Topic::known("silver_lag_absent", 1), "");
    let absent = silver(&stream, "absent");
    assert_eq!(absent["lag"], Value::Null);
    let reason = absent["lag_unknown"].as_str().unwrap();
    assert!(
        reason.contains("has no topic silver_lag_absent"),
        "{reason}"
    );
    let shown = stream.project.succeed(&["status"]);
    let line = |job: &str| {
        shown
            .stdout
            .lines()
            .find(|line| line.contains(job))
            .unwrap()
    };
    assert!(line("silver_lag.").contains(" 7 "), "{}", shown.text());
    assert!(line("absent").contains("not known"), "{}", shown.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_answers_where_kafka_is_down_or_silent_and_says_that_the_lag_is_not_known() {
    let mut stream = Stream::new("silver_lag_lost", 1).await;
    stream.topic.insert(0..3);
    stream.ends("done");
    // it takes connections and never says a word
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = listener.local_addr().unwrap().to_string();
    for address in ["127.0.0.1:1", &mute] {
        stream.project.set("BULLION_KAFKA_BROKERS", address);
        let notes = silver(&stream, "notes");
        assert_eq!(notes["lag"], Value::Null);
        let reason = notes["lag_unknown"].as_str().unwrap();
        assert!(reason.contains(&format!("kafka at {address}")), "{reason}");
        assert!(notes["complete_to"].is_string(), "{notes}");
    }
}
