//! One seed on the real parts: its schedule is played, everything is healed, and silver is judged.

use crate::support::PATIENCE;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::schedule::{self, Event, Group, MEMBERS, Schedule};
use crate::support::commits::Commits;
use crate::support::lying_front::{About, LyingFront};
use crate::support::program::Running;
use crate::support::proxy::{Proxy, Weather};
use crate::support::stream::Stream;

const TICK: Duration = Duration::from_millis(40);
/// A stopped process has so long after SIGTERM.
const DRAINED: Duration = Duration::from_secs(8);

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
amount = "Decimal(18, 2)"
"#;

type Verdict = Result<String, String>;

pub async fn drive(seed: u64) -> Verdict {
    let schedule = schedule::of(seed);
    let folder = folder(seed);
    std::fs::write(folder.join("schedule"), format!("{schedule:#?}")).unwrap();
    let mut stage = Stage::set(seed, &schedule, folder.clone()).await;
    let played = stage.play(&schedule, seed).await;
    let judged = match played {
        Ok(sent) => stage.judge(&sent).await,
        Err(wrong) => Err(wrong),
    };
    std::fs::write(folder.join("ingest.log"), stage.stream.project.log()).unwrap();
    if judged.is_ok() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    judged.map_err(|wrong| {
        format!(
            "{:?}: {wrong}\n    see {}",
            schedule.group,
            folder.display()
        )
    })
}

/// Beside the build, so that it survives the test.
fn folder(seed: u64) -> PathBuf {
    let built = PathBuf::from(crate::support::program::PROGRAM);
    let target = built.parent().and_then(|profile| profile.parent());
    let folder = target.unwrap().join(format!("chaos/seed-{seed}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The parts of one seed.
struct Stage {
    stream: Stream,
    group: Group,
    front: LyingFront,
    kafka: Proxy,
    clickhouse: Proxy,
    members: Vec<Option<Running>>,
    /// of each member's latest process
    logs: Vec<String>,
    folder: PathBuf,
    watch: Commits,
    happened: Happened,
}

#[derive(Default)]
struct Happened {
    starts: usize,
    kills: usize,
    checks: usize,
}

impl Stage {
    async fn set(seed: u64, schedule: &Schedule, folder: PathBuf) -> Stage {
        let name = format!("chaos_{seed}");
        let mut stream = Stream::new(&name, schedule.partitions).await;
        let job = JOB.replace("{topic}", &stream.topic.name);
        stream.project.write("jobs/silver/changes.toml", &job);
        std::fs::remove_file(stream.project.path("jobs/silver/notes.toml")).unwrap();
        stream.project.succeed(&["migrate"]);
        let front = LyingFront::before(&stream.engine);
        let clickhouse = Proxy::before(front.engine.url.trim_start_matches("http://"));
        let kafka = Proxy::before_kafka().await;
        let project = &mut stream.project;
        let url = format!("http://{}", clickhouse.address);
        project.set("BULLION_CLICKHOUSE_URL", &url);
        project.set("BULLION_CLICKHOUSE_INSERT_TIMEOUT", "1s");
        project.set("BULLION_KAFKA_BROKERS", &kafka.address);
        let watch = Commits::watch(&stream.group, &stream.topic.name, schedule.partitions);
        Stage {
            group: schedule.group,
            members: (0..MEMBERS).map(|_| None).collect(),
            logs: (0..MEMBERS).map(|_| String::new()).collect(),
            happened: Happened::default(),
            stream,
            front,
            kafka,
            clickhouse,
            folder,
            watch,
        }
    }

    /// Produces all the while; gives the end of each partition.
    async fn play(&mut self, schedule: &Schedule, seed: u64) -> Result<Vec<i64>, String> {
        let log = std::fs::File::create(self.folder.join("log.jsonl")).unwrap();
        let topic =
            crate::support::kafka::Topic::known(&self.stream.topic.name, schedule.partitions);
        let mut changes = Changes::new(seed, &topic, schedule.partitions, log);
        let mut later: Vec<(u64, Later)> = Vec::new();
        let began = Instant::now();
        let mut events = schedule.events.iter().peekable();
        while events.peek().is_some() || !later.is_empty() {
            let now = u64::try_from(began.elapsed().as_millis()).unwrap();
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= now) {
                self.happens(event, now, &mut later).await?;
            }
            let (due, rest) = later.into_iter().partition(|(at, _)| *at <= now);
            later = rest;
            for (_, ends) in due {
                self.ends(ends);
            }
            self.bury()?;
            changes.send_some(30);
            tokio::time::sleep(TICK).await;
        }
        Ok(changes.sent)
    }

    async fn happens(
        &mut self,
        event: &Event,
        now: u64,
        later: &mut Vec<(u64, Later)>,
    ) -> Result<(), String> {
        let after = |time: &Duration| now + u64::try_from(time.as_millis()).unwrap();
        match event {
            Event::Join(member, failpoint) => {
                if self.member(*member).is_none() {
                    self.join(*member, failpoint.as_deref());
                }
            }
            Event::Kill(member) => {
                if let Some(process) = self.member(*member).take() {
                    process.kill();
                    self.happened.kills += 1;
                    self.check().await?;
                }
            }
            Event::Term(member) => {
                if let Some(mut process) = self.member(*member).take() {
                    process.signal("CONT");
                    process.signal("TERM");
                    let exit = wait(&mut process).await?;
                    if !matches!(exit, 143 | 137 | 1) {
                        return Err(format!("a process ended with {exit} after SIGTERM"));
                    }
                }
            }
            Event::Pause(member, time) => {
                if let Some(process) = self.member(*member) {
                    process.signal("STOP");
                    later.push((after(time), Later::Continue(*member)));
                }
            }
            Event::Lie(lie, times) => self.front.lie(About::Insert(""), *times, *lie),
            Event::Kafka(weather, time) => {
                self.kafka.set(*weather);
                later.push((after(time), Later::ClearKafka));
            }
            Event::ClickHouse(weather, time) => {
                self.clickhouse.set(*weather);
                later.push((after(time), Later::ClearClickHouse));
            }
            Event::CutKafka => self.kafka.cut(),
            Event::HalfRequest(bytes) => self.clickhouse.cut_after(*bytes),
            Event::Check => self.check().await?,
        }
        Ok(())
    }

    fn ends(&mut self, later: Later) {
        match later {
            Later::Continue(member) => {
                if let Some(process) = self.member(member) {
                    process.signal("CONT");
                }
            }
            Later::ClearKafka => self.kafka.set(Weather::Clear),
            Later::ClearClickHouse => self.clickhouse.set(Weather::Clear),
        }
    }

    fn member(&mut self, number: u64) -> &mut Option<Running> {
        &mut self.members[usize::try_from(number).unwrap()]
    }

    fn join(&mut self, number: u64, failpoint: Option<&str>) {
        self.happened.starts += 1;
        let properties = self.group.properties(number);
        let environment = [
            ("BULLION_KAFKA_PROPERTIES", properties.as_str()),
            ("BULLION_FAILPOINT", failpoint.unwrap_or_default()),
        ];
        let log = format!("log-{:04}", self.happened.starts);
        let project = &self.stream.project;
        let process = project.start_telling(&log, &["ingest"], &environment);
        *self.member(number) = Some(process);
        self.logs[usize::try_from(number).unwrap()] = log;
    }

    /// A process that was killed at its fail point leaves its place, and so does one that found Kafka or ClickHouse lost when
    /// it started: exit code 1, try again. No other end is right, nor this one of a process that had begun to read.
    fn bury(&mut self) -> Result<(), String> {
        for (place, log) in self.members.iter_mut().zip(&self.logs) {
            let Some(process) = place else { continue };
            if process.is_running() {
                continue;
            }
            let exit = process.wait(Duration::ZERO);
            *place = None;
            self.happened.kills += usize::from(exit == 137);
            let log = std::fs::read_to_string(self.stream.project.path(log)).unwrap();
            let began = log.contains("partitions assigned");
            if !(exit == 137 || (exit == 1 && !began)) {
                return Err(format!("a process ended by itself with {exit}"));
            }
        }
        Ok(())
    }

    /// Heals everything, waits for the group to commit the ends, and compares.
    async fn judge(&mut self, ends: &[i64]) -> Verdict {
        self.front.repent();
        self.kafka.set(Weather::Clear);
        self.clickhouse.set(Weather::Clear);
        for process in self.members.iter().flatten() {
            process.signal("CONT");
        }
        let until = Instant::now() + PATIENCE;
        while self.watch.latest() != ends {
            self.bury()?;
            if self.members.iter().all(Option::is_none) {
                self.join(0, None);
            }
            if Instant::now() > until {
                let latest = self.watch.latest();
                return Err(format!(
                    "committed {latest:?} and not {ends:?} after {PATIENCE:?}"
                ));
            }
            tokio::time::sleep(TICK).await;
        }
        self.check().await?;
        for process in self.members.iter_mut().flatten() {
            process.signal("TERM");
            let exit = wait(process).await?;
            if !matches!(exit, 143 | 137 | 1) {
                return Err(format!(
                    "a process ended with {exit} after SIGTERM at the end"
                ));
            }
        }
        self.watch.verdict()?;
        let ended = self.stream.catch_up();
        if ended.exit != 0 || ended.json()["status"] != "noop" {
            return Err(format!("there was something left:\n{}", ended.text()));
        }
        let log = self.stream.project.log();
        for words in ["job stopped", "panicked"] {
            if log.contains(words) {
                return Err(format!("a process said `{words}`"));
            }
        }
        self.dump(
            "silver.jsonl",
            "SELECT id, note, toString(amount) FROM {silver}",
        )
        .await;
        self.letters().await;
        self.fold(&[])?;
        let lies = self.front.lies().len();
        let Happened {
            starts,
            kills,
            checks,
        } = self.happened;
        Ok(format!(
            "{:?}, {} partitions, {} messages, {starts} starts, {kills} kills, {lies} lies, {checks} checks",
            self.group,
            ends.len(),
            ends.iter().sum::<i64>()
        ))
    }

    /// In mid-run: what is committed now is in silver or a dead letter now.
    async fn check(&mut self) -> Result<(), String> {
        self.happened.checks += 1;
        let committed = serde_json::to_string(&self.watch.latest()).unwrap();
        std::fs::write(self.folder.join("committed.json"), committed).unwrap();
        let versions = "SELECT id, max(_version) FROM {silver}_versions GROUP BY id";
        self.dump("versions.jsonl", versions).await;
        self.letters().await;
        self.fold(&["--prefix"])
    }

    async fn letters(&self) {
        let letters = format!(
            "SELECT partition, offset FROM {} FINAL",
            self.stream.ops("dead_letters")
        );
        self.dump("letters.jsonl", &letters).await;
    }

    async fn dump(&self, file: &str, sql: &str) {
        let sql = sql.replace("{silver}", &self.stream.silver("changes"));
        let sql = format!(
            "{sql} FORMAT JSONCompactEachRow SETTINGS output_format_json_quote_64bit_integers = 0"
        );
        let text = self.stream.engine.ask(&sql).await.unwrap();
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn fold(&self, mode: &[&str]) -> Result<(), String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/chaos/fold.py");
        let mut fold = Command::new("python3");
        let said = fold
            .arg(script)
            .arg(&self.folder)
            .args(mode)
            .output()
            .unwrap();
        if said.status.success() {
            return Ok(());
        }
        Err(format!(
            "silver differs from the fold {mode:?}:\n{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        ))
    }
}

/// What ends by itself.
#[derive(Clone, Copy)]
enum Later {
    Continue(u64),
    ClearKafka,
    ClearClickHouse,
}

async fn wait(process: &mut Running) -> Result<i32, String> {
    let until = Instant::now() + DRAINED;
    while process.is_running() {
        if Instant::now() > until {
            return Err(format!(
                "a process was still there {DRAINED:?} after SIGTERM"
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(process.wait(Duration::ZERO))
}
