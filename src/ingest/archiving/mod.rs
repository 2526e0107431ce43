//! Raw messages on their way into the archive: gathered by partition, encoded chunk by chunk, written as whole files.
//!
//! ```text
//! take ─▶ chunk ─▶ (a task) encoded at the end of the partition's file ─▶ old or large: (a task) written ─▶ durable
//! ```
//!
//! What is not durable here is not committed, whatever silver has.

mod part;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use chrono::{NaiveDate, Utc};
use tokio::runtime::Handle;

use crate::archive::{Reached, Settings, Store, reached};
use crate::error::{Error, Result};
use crate::source::{Partition, RawMessage};
use part::{Landed, Outcome, Part};

/// Bytes of messages that are encoded in one go, and that a reader holds decoded.
const CHUNK: usize = 4 << 20;

pub struct Archiving {
    settings: Settings,
    store: Arc<Store>,
    /// of all partitions: half for what is gathered, half for what is encoded
    most_bytes: usize,
    streams: BTreeMap<String, Stream>,
    today: NaiveDate,
    owned: u64,
    runtime: Handle,
    landed: Receiver<Landed>,
    landing: Sender<Landed>,
    /// topics that cannot be archived
    failed: Vec<(String, Error)>,
}

/// One topic.
struct Stream {
    epoch: u8,
    parts: BTreeMap<i32, Part>,
}

impl Archiving {
    /// The place is looked at once, so that a wrong address is found at the start.
    pub async fn open(settings: &Settings, most_bytes: usize) -> Result<Archiving> {
        let store = Store::open(settings)?;
        store.look("").await?;
        let (landing, landed) = channel();
        Ok(Archiving {
            settings: settings.clone(),
            store: Arc::new(store),
            most_bytes,
            streams: BTreeMap::new(),
            today: Utc::now().date_naive(),
            owned: 0,
            runtime: Handle::current(),
            landed,
            landing,
            failed: Vec::new(),
        })
    }

    pub fn takes(&self, topic: &str) -> bool {
        self.settings.takes(topic)
    }

    /// How far the archive is in partitions that start at these offsets.
    pub async fn reached(
        &self,
        topic: &str,
        epoch: u8,
        starts: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, Reached>> {
        reached(&self.store, topic, epoch, starts).await
    }

    /// Messages of the partition come to us from now on.
    pub fn own(&mut self, topic: &str, epoch: u8, partition: i32, reached: Reached) {
        self.owned += 1;
        let part = Part::new(self.owned, partition, reached);
        let stream = self.streams.entry(topic.to_owned());
        let stream = stream.or_insert_with(|| Stream {
            epoch,
            parts: BTreeMap::new(),
        });
        stream.parts.insert(partition, part);
    }

    /// The partition is somebody else's; what is under way is given up.
    pub fn forget(&mut self, partition: &Partition) {
        if let Some(stream) = self.streams.get_mut(&partition.topic) {
            stream.parts.remove(&partition.number);
        }
    }

    /// Keeps a copy, where the archive does not have it yet.
    pub fn take(&mut self, topic: &str, message: &RawMessage<'_>, now: Instant) {
        let today = self.today;
        let part = self
            .streams
            .get_mut(topic)
            .and_then(|stream| stream.parts.get_mut(&message.partition()));
        if let Some(part) = part {
            part.take(message, today, now);
        }
    }

    /// What lies below `next` and did not come is no message.
    pub fn reach_end(&mut self, partition: &Partition, next: i64, now: Instant) {
        let today = self.today;
        let stream = self.streams.get_mut(&partition.topic);
        if let Some(part) = stream.and_then(|stream| stream.parts.get_mut(&partition.number)) {
            part.reach_end(next, today, now);
        }
    }

    /// First offset that is not in the archive; nothing where it is not kept.
    pub fn durable(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.streams.get(topic)?.parts.get(&partition)?.durable)
    }

    /// Memory of what is not written yet.
    pub fn bytes(&self) -> usize {
        self.parts().map(Part::bytes).sum()
    }

    /// Nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.parts().all(Part::is_settled)
    }

    /// Takes what has landed, ends files that are due, and starts what can start.
    pub fn mind(&mut self, now: Instant) {
        self.today = Utc::now().date_naive();
        while let Ok(landed) = self.landed.try_recv() {
            self.land(landed);
        }
        let (after, bytes) = (self.settings.roll_after, self.settings.roll_bytes);
        for part in self.parts_mut() {
            if part.is_older_than(after, now) || part.encoded() as u64 >= bytes {
                part.seal(true);
            } else if part.gathered() >= CHUNK {
                part.seal(false);
            }
        }
        // the largest, where there is too much: gathered ones become a tenth when they are encoded
        if self.parts().map(Part::gathered).sum::<usize>() > self.most_bytes / 2
            && let Some(part) = self.parts_mut().max_by_key(|part| part.gathered())
        {
            part.seal(false);
        }
        if self.parts().map(Part::encoded).sum::<usize>() > self.most_bytes / 2
            && let Some(part) = self.parts_mut().max_by_key(|part| part.encoded())
        {
            part.seal(true);
        }
        self.start();
    }

    /// Ends every file, or those of these partitions.
    pub fn end_files(&mut self, partitions: Option<&[Partition]>) {
        for (topic, stream) in &mut self.streams {
            for (number, part) in &mut stream.parts {
                let named = |partition: &Partition| {
                    partition.number == *number && partition.topic == *topic
                };
                if partitions.is_none_or(|partitions| partitions.iter().any(named)) {
                    part.seal(true);
                }
            }
        }
        self.start();
    }

    /// Waits for what is under way, but not past the deadline; whether all of it ended.
    pub fn finish(&mut self, until: Instant) -> bool {
        while !self.is_settled() {
            let left = until.saturating_duration_since(Instant::now());
            match self.landed.recv_timeout(left) {
                Ok(landed) => self.land(landed),
                Err(_) => return false,
            }
            self.start();
        }
        true
    }

    pub fn take_failed(&mut self) -> Vec<(String, Error)> {
        std::mem::take(&mut self.failed)
    }

    fn land(&mut self, landed: Landed) {
        let stream = self.streams.get_mut(&landed.topic);
        let part = stream.and_then(|stream| stream.parts.get_mut(&landed.partition));
        // of an earlier time that the partition was ours
        let Some(part) = part.filter(|part| part.id == landed.id) else {
            return;
        };
        match landed.outcome {
            Outcome::Failed(error) => self.failed.push((landed.topic, error)),
            outcome => part.land(outcome),
        }
    }

    fn start(&mut self) {
        for (topic, stream) in &mut self.streams {
            for part in stream.parts.values_mut() {
                part.start(
                    &self.store,
                    (topic, stream.epoch),
                    &self.runtime,
                    &self.landing,
                );
            }
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.streams
            .values()
            .flat_map(|stream| stream.parts.values())
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        let streams = self.streams.values_mut();
        streams.flat_map(|stream| stream.parts.values_mut())
    }
}
