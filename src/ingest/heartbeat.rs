//! Debezium's heartbeats: how far the source is when a table has no changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

/// Debezium's default prefix of heartbeat topics; the topic prefix of the connector follows.
const TOPIC: &str = "__debezium-heartbeat.";
/// Ends of partitions that are known this much after a heartbeat was received are later than the heartbeat.
const SETTLED: Duration = Duration::from_secs(1);

/// The heartbeat topic of the connector that publishes `topic`.
pub fn topic_of(topic: &str) -> String {
    let prefix = topic.split('.').next().unwrap_or(topic);
    format!("{TOPIC}{prefix}")
}

/// Heartbeats by heartbeat topic.
#[derive(Default)]
pub struct Heartbeats(BTreeMap<String, Beats>);

/// Heartbeats may come faster than they settle: one waits, later ones are taken up when it has settled.
#[derive(Default)]
struct Beats {
    settled: Option<i64>,
    waiting: Option<Beat>,
}

#[derive(Clone, Copy)]
struct Beat {
    /// milliseconds since 1970
    source_time: i64,
    received: Instant,
}

impl Beats {
    fn settle(&mut self, now: Instant) -> Option<i64> {
        if let Some(beat) = self.waiting
            && now.duration_since(beat.received) >= SETTLED
        {
            self.settled = self.settled.max(Some(beat.source_time));
            self.waiting = None;
        }
        self.settled
    }
}

#[derive(Deserialize)]
struct Body {
    ts_ms: Option<i64>,
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    ts_ms: i64,
}

impl Heartbeats {
    /// Anything that is no heartbeat is passed over: it is not our topic's business to be valid.
    pub fn take(&mut self, topic: &str, value: Option<&[u8]>, now: Instant) {
        let body = value.and_then(|value| serde_json::from_slice::<Body>(value).ok());
        let time = body.and_then(|body| body.ts_ms.or(body.payload.map(|payload| payload.ts_ms)));
        if let Some(source_time) = time {
            let beats = self.0.entry(topic.to_owned()).or_default();
            beats.settle(now);
            beats.waiting.get_or_insert(Beat {
                source_time,
                received: now,
            });
        }
    }

    /// The source's time that a partition of `topic` has reached if it is at its end now.
    pub fn settled(&mut self, topic: &str, now: Instant) -> Option<i64> {
        self.0.get_mut(&topic_of(topic))?.settle(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_once_the_ends_of_partitions_are_known_to_be_later() {
        let start = Instant::now();
        let mut heartbeats = Heartbeats::default();
        heartbeats.take("__debezium-heartbeat.shop", Some(br#"{"ts_ms":5}"#), start);
        assert_eq!(heartbeats.settled("shop.public.orders", start), None);
        assert_eq!(
            heartbeats.settled("shop.public.orders", start + SETTLED),
            Some(5)
        );
        assert_eq!(
            heartbeats.settled("other.public.orders", start + SETTLED),
            None
        );
        heartbeats.take(
            "__debezium-heartbeat.shop",
            Some(br#"{"schema":{},"payload":{"ts_ms":7}}"#),
            start,
        );
        heartbeats.take("__debezium-heartbeat.shop", Some(b"garbage"), start);
        let later = start + SETTLED + SETTLED;
        assert_eq!(heartbeats.settled("shop.public.orders", later), Some(7));
    }

    #[test]
    fn heartbeats_that_come_faster_than_they_settle_still_settle() {
        let start = Instant::now();
        let mut heartbeats = Heartbeats::default();
        for tenth in 0..30 {
            let beat = format!("{{\"ts_ms\":{tenth}}}");
            let now = start + SETTLED * tenth / 10;
            heartbeats.take("__debezium-heartbeat.shop", Some(beat.as_bytes()), now);
        }
        assert_eq!(heartbeats.settled("shop.x", start + SETTLED * 3), Some(20));
    }
}
