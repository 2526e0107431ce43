//! What a group has committed, looked at all the time: it never goes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};

use super::stack;

/// How long the broker of a busy machine may take.
const ANSWER: Duration = Duration::from_secs(30);

pub struct Commits {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    latest: Vec<i64>,
    went_back: Option<String>,
}

impl Commits {
    pub fn watch(group: &str, topic: &str, partitions: i32) -> Commits {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", stack("BULLION_KAFKA_BROKERS"))
            .set("group.id", group)
            .create()
            .unwrap();
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            asked.add_partition(topic, partition);
        }
        let seen = Arc::new(Mutex::new(Seen {
            latest: vec![0; usize::try_from(partitions).unwrap()],
            went_back: None,
        }));
        let over = Arc::new(AtomicBool::new(false));
        let (noted, ended) = (Arc::clone(&seen), Arc::clone(&over));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok(found) = consumer.committed_offsets(asked.clone(), ANSWER) {
                    let offsets = found.elements();
                    let next = |element: &TopicPartitionListElem<'_>| {
                        element.offset().to_raw().unwrap_or(0).max(0)
                    };
                    noted
                        .lock()
                        .unwrap()
                        .note(offsets.iter().map(next).collect());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Commits { seen, over }
    }

    pub fn latest(&self) -> Vec<i64> {
        self.seen.lock().unwrap().latest.clone()
    }

    /// An error once they went back.
    pub fn verdict(&self) -> Result<(), String> {
        let went_back = self.seen.lock().unwrap().went_back.clone();
        went_back.map_or(Ok(()), Err)
    }
}

impl Seen {
    fn note(&mut self, now: Vec<i64>) {
        let back = self
            .latest
            .iter()
            .zip(&now)
            .any(|(before, now)| now < before);
        if back && self.went_back.is_none() {
            let text = format!(
                "committed offsets went back from {:?} to {now:?}",
                self.latest
            );
            self.went_back = Some(text);
        }
        self.latest = now;
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
