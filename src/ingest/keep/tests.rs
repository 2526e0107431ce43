//! What rows lean on, told in messages: the decoder's rows, what silver holds, and the decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::decide::{Case, Deciding, Found, Known};
use super::{Keeping, Target};
use crate::batch::{Batch, DeadLetter};
use crate::column::{key_bytes, version};
use crate::config::Config;
use crate::envelope::{Decoder, Fate, Headers, Message, Reason};
use crate::job::{Jobs, SilverJob};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::recall::Stored;

const UNSENT: &str = "__debezium_unavailable_value";

fn job() -> SilverJob {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("jobs/silver")).unwrap();
    let text = "topic = \"t\"\nkey = [\"id\"]\n[policy]\ntoast = \"keep\"\n[columns]\nid = \"Int64\"\nbig = \"String\"\nother = \"Nullable(String)\"\n";
    std::fs::write(folder.path().join("jobs/silver/docs.toml"), text).unwrap();
    std::fs::write(folder.path().join("bullion.toml"), "").unwrap();
    let file = folder.path().join("bullion.toml");
    let config = Config::load_from(Some(&file), &BTreeMap::new()).unwrap();
    Jobs::load(&config).unwrap().silver.remove(0)
}

struct Scene {
    job: SilverJob,
    decoder: Decoder,
    batch: Batch,
    stored: HashMap<Vec<u8>, Vec<Stored>>,
    dead: HashMap<Vec<u8>, Vec<u64>>,
    awaited: BTreeSet<Vec<u8>>,
    out_of_patience: bool,
}

impl Scene {
    fn new() -> Scene {
        let job = job();
        Scene {
            decoder: Decoder::new(&job),
            batch: Batch::new(&job),
            job,
            stored: HashMap::new(),
            dead: HashMap::new(),
            awaited: BTreeSet::new(),
            out_of_patience: false,
        }
    }

    /// A change at this offset; `lsn` is the offset's hundredfold unless a header says more.
    fn change(&mut self, offset: i64, op: char, id: i64, big: &str) -> &mut Scene {
        self.moved(offset, op, id, big, offset * 100, &[])
    }

    fn moved(
        &mut self,
        offset: i64,
        op: char,
        id: i64,
        big: &str,
        lsn: i64,
        headers: &[(&str, &str)],
    ) -> &mut Scene {
        let key = format!(r#"{{"id":{id}}}"#);
        let image = format!(r#"{{"id":{id},"big":"{big}","other":null}}"#);
        let after = if op == 'd' { "null" } else { &image };
        let value = format!(
            r#"{{"before":null,"after":{after},"source":{{"lsn":{lsn},"txId":7}},"op":"{op}"}}"#
        );
        let find = |name: &str| {
            let found = headers.iter().find(|(header, _)| *header == name);
            found.map(|(_, value)| value.as_bytes().to_vec())
        };
        let message = Message {
            topic: "t",
            partition: 0,
            offset,
            key: Some(key.as_bytes()),
            value: (op != 'x').then_some(value.as_bytes()),
            timestamp: None,
            headers: Headers::of(&find),
        };
        let fate = self.decoder.decode(&message, &mut self.batch.rows);
        assert!(matches!(fate, Fate::Row), "{fate:?}");
        self.batch.note_doubt(|| DeadLetter {
            partition: 0,
            offset,
            version: version(1, offset),
            reason: Reason::ToastPlaceholder.as_str(),
            column: String::new(),
            key: Some(key.into_bytes()),
            value: None,
            headers: Vec::new(),
            message_time: None,
        });
        self
    }

    fn silver(&mut self, id: i64, offset: i64, deleted: bool, lsn: Option<i64>) -> &mut Scene {
        let stored = Stored {
            version: version(1, offset),
            deleted,
            lsn,
            tx_id: Some(7),
            bytes: 10,
        };
        self.stored.entry(key(id)).or_default().push(stored);
        self
    }

    /// Per key with doubts: `id: …`.
    fn told(&self) -> Vec<String> {
        let groups = self.batch.rows.by_key().into_iter();
        let cases: Vec<Case> = groups
            .map(|rows| {
                let cells = self.batch.rows.key_cells(rows[0] as usize);
                Case {
                    key: (key_bytes(&cells, 0), cells),
                    rows,
                }
            })
            .collect();
        let known = Known {
            rows: &self.batch.rows,
            letters: &self.batch.doubted,
            cases: &cases,
            stored: &self.stored,
            dead: &self.dead,
            awaited: &self.awaited,
            out_of_patience: self.out_of_patience,
        };
        let deciding = Deciding::new(&known);
        let offset = |row: u32| self.batch.rows.version(row as usize) >> 8 & 0xffff;
        let mut told = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let decision = deciding.decide(at);
            let id = i64::from_le_bytes(case.key.1[0].cell(0).unwrap().try_into().unwrap());
            let mut words: Vec<String> = Vec::new();
            for (doubt, column) in &decision.rejected {
                let name = &self.job.columns[*column].name;
                words.push(format!(
                    "reject {} {name}",
                    self.batch.doubted[*doubt].offset
                ));
            }
            if decision.wait {
                words.push("wait".to_owned());
            }
            if let Some(write) = &decision.write {
                let mut of = write.cells.iter().filter(|(column, _)| *column == 1);
                let from = match of.next() {
                    None => String::new(),
                    Some((_, Found::Row(row))) => format!(" big of row {}", offset(*row)),
                    Some((_, Found::Silver(_, version))) => {
                        format!(" big of silver {}", version >> 8 & 0xffff)
                    }
                    Some((_, found)) => format!(" {found:?}"),
                };
                words.push(format!("write {}{from}", offset(write.row)));
            }
            told.push(format!("{id}: {}", words.join(", ")));
        }
        told
    }
}

fn key(id: i64) -> Vec<u8> {
    let mut bytes = 8_u32.to_le_bytes().to_vec();
    bytes.extend(id.to_le_bytes());
    bytes
}

#[test]
fn an_update_keeps_what_an_older_row_of_its_batch_has() {
    let mut scene = Scene::new();
    scene.change(1, 'c', 1, "a").change(2, 'u', 1, UNSENT);
    scene.change(3, 'u', 1, UNSENT).silver(1, 0, false, None);
    assert_eq!(scene.told(), ["1: write 3 big of row 1"]);
}

#[test]
fn else_what_silver_has_below_its_version() {
    let mut scene = Scene::new();
    scene.change(5, 'u', 1, UNSENT).change(6, 'u', 1, UNSENT);
    assert_eq!(scene.told(), ["1: reject 6 big, reject 5 big"]);
    scene.silver(1, 3, false, None).silver(1, 4, false, None);
    assert_eq!(scene.told(), ["1: write 6 big of silver 4"]);
    // redelivered after an earlier batch had ended in the middle
    scene.silver(1, 5, false, None);
    assert_eq!(scene.told(), ["1: write 6 big of silver 5"]);
}

#[test]
fn what_silver_has_already_or_has_outdone_is_not_written_again() {
    for offset in [6, 9] {
        let mut scene = Scene::new();
        scene.change(5, 'u', 1, UNSENT).change(6, 'u', 1, UNSENT);
        scene.silver(1, offset, false, None);
        assert_eq!(scene.told(), ["1: "]);
    }
}

#[test]
fn a_deleted_row_has_nothing_to_keep() {
    let mut scene = Scene::new();
    scene.change(1, 'c', 1, "a").change(2, 'd', 1, "");
    scene.change(3, 'u', 1, UNSENT);
    assert_eq!(scene.told(), ["1: reject 3 big, write 2"]);
    let mut scene = Scene::new();
    scene
        .silver(1, 2, true, Some(200))
        .change(3, 'u', 1, UNSENT);
    assert_eq!(scene.told(), ["1: reject 3 big"]);
}

#[test]
fn a_dead_letter_between_makes_the_older_state_no_answer() {
    let mut scene = Scene::new();
    scene.change(1, 'c', 1, "a").change(4, 'u', 1, UNSENT);
    scene
        .dead
        .insert(br#"{"id":1}"#.to_vec(), vec![version(1, 2)]);
    assert_eq!(scene.told(), ["1: reject 4 big, write 1"]);
    scene
        .dead
        .insert(br#"{"id":1}"#.to_vec(), vec![version(1, 5)]);
    assert_eq!(scene.told(), ["1: write 4 big of row 1"]);
}

const NEW: (&str, &str) = ("__debezium.newkey", r#"{"id":2}"#);
const OLD: (&str, &str) = ("__debezium.oldkey", r#"{"id":1}"#);

#[test]
fn a_change_of_key_takes_along_what_the_old_key_had() {
    let mut scene = Scene::new();
    scene.change(1, 'c', 1, "a");
    scene.moved(2, 'd', 1, "", 200, &[NEW]);
    scene.moved(3, 'x', 1, "", 0, &[NEW]);
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    scene.change(5, 'u', 2, UNSENT);
    let told = ["1: write 3 big of row 1", "2: write 5 big of row 1"];
    assert_eq!(scene.told(), told);
    // and when the first half is in silver already
    let mut scene = Scene::new();
    scene.silver(1, 3, true, Some(200));
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    assert_eq!(scene.told(), ["2: write 4 big of silver 3"]);
    // the tombstone alone
    let mut scene = Scene::new();
    scene.silver(1, 2, true, Some(200));
    scene.moved(3, 'x', 1, "", 0, &[NEW]);
    assert_eq!(scene.told(), ["1: write 3 big of silver 2"]);
}

#[test]
fn a_change_of_key_waits_for_its_other_half_but_not_for_ever() {
    let mut scene = Scene::new();
    // older and newer states of the old key are not the one that was moved
    scene.silver(1, 1, false, Some(100));
    scene.silver(1, 9, true, Some(900));
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    assert_eq!(scene.told(), ["2: wait"]);
    scene.out_of_patience = true;
    assert_eq!(scene.told(), ["2: reject 4 big"]);
}

#[test]
fn what_leans_on_a_dead_letter_behind_a_row_that_waits_is_rejected_once() {
    let mut scene = Scene::new();
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    scene.change(6, 'u', 2, UNSENT);
    scene
        .dead
        .insert(br#"{"id":2}"#.to_vec(), vec![version(1, 5)]);
    assert_eq!(scene.told(), ["2: wait"]);
    scene.silver(1, 3, true, Some(200));
    assert_eq!(scene.told(), ["2: reject 6 big, write 4 big of silver 3"]);
}

#[test]
fn a_row_waits_for_an_earlier_batch_that_waits() {
    let mut scene = Scene::new();
    scene.change(5, 'u', 2, UNSENT);
    scene.awaited.insert(key(2));
    assert_eq!(scene.told(), ["2: wait"]);
    // what silver has is older than what that batch will write, and it ends some time
    scene.silver(2, 3, false, None);
    scene.out_of_patience = true;
    assert_eq!(scene.told(), ["2: wait"]);
}

#[test]
fn a_delete_that_has_nothing_to_take_along_is_still_a_delete_and_no_create_takes_its_defaults() {
    let mut scene = Scene::new();
    scene.moved(2, 'd', 1, "", 200, &[NEW]);
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    let told = ["1: write 2 Nothing", "2: reject 4 big"];
    assert_eq!(scene.told(), told);
    let mut scene = Scene::new();
    scene.silver(1, 2, true, None);
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    assert_eq!(scene.told(), ["2: reject 4 big"]);
}

/// Whoever has it now reads its messages again.
#[tokio::test]
async fn rows_of_a_partition_that_was_given_up_are_waited_for_no_more() {
    let mut scene = Scene::new();
    scene.moved(4, 'c', 2, UNSENT, 200, &[OLD]);
    scene.moved(5, 'c', 4, UNSENT, 300, &[OLD]);
    scene.batch.doubted[0].partition = 7;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bullion.toml"), "").unwrap();
    let file = folder.path().join("bullion.toml");
    let config = Config::load_from(Some(&file), &BTreeMap::new()).unwrap();
    let clickhouse = ClickHouse::new(&config.clickhouse).unwrap();
    let target = Target::new(scene.job, clickhouse, "silver", "ops");
    let (rows, letters) = (scene.batch.rows, scene.batch.doubted);
    let (mut keeping, _) = Keeping::new(&target, rows, letters, 3).await.unwrap();
    let all = keeping.bytes();
    target.awaited.give_up(7, 2);
    keeping.let_go();
    assert_eq!((keeping.cases.len(), keeping.bytes()), (2, all));
    target.awaited.give_up(7, 3);
    keeping.let_go();
    assert_eq!(keeping.letters.len(), 1);
    assert_eq!((keeping.cases.len(), &keeping.cases[0].key.0), (1, &key(4)));
    assert!(keeping.bytes() < all);
}
