//! A bad network between ingest and its parts, both of them: it converges, and memory stays within bounds.

use std::time::Duration;

use crate::support::program::Running;
use crate::support::proxy::{Proxy, Weather};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

/// A stream whose ingest reaches both Kafka and ClickHouse by a proxy.
struct Far {
    stream: Stream,
    kafka: Proxy,
    clickhouse: Proxy,
    ingest: Running,
    sent: i64,
}

impl Far {
    async fn new(name: &str, properties: &str) -> Far {
        let mut stream = Stream::new(name, 2).await;
        let kafka = Proxy::before_kafka().await;
        let server = stream.engine.url.trim_start_matches("http://").to_owned();
        let clickhouse = Proxy::before(&server);
        let project = &mut stream.project;
        project.set("BULLION_KAFKA_BROKERS", &kafka.address);
        project.set("BULLION_KAFKA_PROPERTIES", properties);
        let url = format!("http://{}", clickhouse.address);
        project.set("BULLION_CLICKHOUSE_URL", &url);
        project.set("BULLION_CLICKHOUSE_INSERT_TIMEOUT", "5s");
        let ingest = stream.project.start(&["ingest"]);
        let mut far = Far {
            stream,
            kafka,
            clickhouse,
            ingest,
            sent: 0,
        };
        far.send(200);
        far.holds("clear weather").await;
        assert!(far.kafka.connections() > 0 && far.clickhouse.connections() > 0);
        far
    }

    fn send(&mut self, rows: i64) {
        self.stream.topic.insert(self.sent..self.sent + rows);
        self.sent += rows;
    }

    async fn holds(&mut self, weather: &str) {
        let sums = format!(
            "SELECT count(), uniqExact(id), sum(id) FROM {}",
            self.stream.silver("notes")
        );
        let sent = self.sent;
        let wanted = [format!("{sent}\t{sent}\t{}", sent * (sent - 1) / 2)];
        wait_for(&format!("{sent} rows in {weather}"), PATIENCE, || async {
            let all = self.stream.engine.rows(&sums).await == wanted;
            (all && self.stream.committed() == sent).then_some(())
        })
        .await;
        let log = self.stream.project.log();
        assert!(self.ingest.is_running(), "{log}");
        assert!(!log.contains("job stopped"), "{log}");
    }
}

async fn converges_in_any_weather(name: &str, properties: &str, late: Duration) {
    let mut far = Far::new(name, properties).await;
    for (weather, rows) in [
        (Weather::Lossy, 200),
        (Weather::Late(late), 200),
        // ten messages are two seconds of it
        (Weather::Narrow(1_000), 10),
    ] {
        far.kafka.set(weather);
        far.clickhouse.set(weather);
        far.send(rows);
        far.holds(&format!("{weather:?}")).await;
    }
    far.kafka.flap(Duration::from_millis(700));
    far.clickhouse.flap(Duration::from_millis(500));
    for _ in 0..5 {
        far.send(200);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    far.kafka.set(Weather::Clear);
    far.clickhouse.set(Weather::Clear);
    far.holds("flapping").await;
    // away for longer than the session, connections and all, and in the middle of a request
    far.clickhouse.cut_after(500);
    far.kafka.set(Weather::BlackHole);
    far.send(200);
    tokio::time::sleep(Duration::from_secs(7)).await;
    far.kafka.set(Weather::Clear);
    far.holds("a black hole").await;
    far.kafka.cut();
    far.send(200);
    far.holds("cut").await;
    let most = far.ingest.peak_memory();
    assert!(most < 160 << 20, "{} MiB", most >> 20);
    far.ingest.signal("TERM");
    assert_eq!(far.ingest.wait(PATIENCE), 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn loss_latency_a_narrow_line_flapping_and_a_black_hole_cost_time_only() {
    let quick = "session.timeout.ms=6000,heartbeat.interval.ms=500";
    // two seconds there and back
    converges_in_any_weather("network_classic", quick, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_so_they_do_with_the_newer_group_protocol() {
    let newer = "group.protocol=consumer";
    converges_in_any_weather("network_newer", newer, Duration::from_millis(100)).await;
}
