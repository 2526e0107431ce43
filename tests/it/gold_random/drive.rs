//! One seed on the real parts: its plan is played, everything comes to rest, and gold is judged.

use std::time::{Duration, Instant};

use super::orders::{self, Orders};
use super::plan::{self, Arrival, DAYS, Earlier, Plan, Step, day};
use crate::support::program::{Ran, Running};
use crate::support::{Engine, PATIENCE, Project, Source};

const TICK: Duration = Duration::from_millis(100);
/// A command that a fail point ended has no exit code.
pub(super) const KILLED: i32 = -1;

pub type Verdict = Result<String, String>;

pub async fn drive(seed: u64, source: &Source) -> Verdict {
    let plan = plan::of(seed);
    let mut stage = Stage::set(seed, source, &plan).await?;
    for (number, step) in plan.steps.iter().enumerate() {
        let wrong = |wrong| format!("step {number}, {step:?}: {wrong}\n{plan:#?}");
        stage.play(step).await.map_err(wrong)?;
    }
    let judged = stage.judge().await;
    judged.map_err(|wrong| format!("{wrong}\n{plan:#?}"))
}

pub(super) struct Stage<'a> {
    pub(super) orders: Orders<'a>,
    pub(super) project: Project,
    arrival: Arrival,
    earlier: Earlier,
    ingest: Option<Running>,
    schedule: Option<Running>,
    /// the last ingest ended by itself, so that what silver holds was told
    is_told: bool,
    pub(super) happened: Happened,
}

#[derive(Default)]
pub(super) struct Happened {
    builds: usize,
    /// of whatever process
    kills: usize,
    /// gold's backfills that were killed and started again
    resumed: usize,
    pub(super) fills: usize,
    pub(super) killed_fills: usize,
    checks: usize,
}

impl<'a> Stage<'a> {
    async fn set(seed: u64, source: &'a Source, plan: &Plan) -> Result<Stage<'a>, String> {
        let mut orders = Orders::new(source, seed);
        let mut project = Project::new(&format!("gold_random_{seed}"), &Engine::of_stack()).await;
        // a member that was killed is not waited for
        project.set(
            "BULLION_KAFKA_PROPERTIES",
            "session.timeout.ms=2000,heartbeat.interval.ms=500",
        );
        project.set("BULLION_POSTGRES_URL", &source.url());
        if plan.archived {
            let kept = format!("file://{}", project.path("kept").display());
            project.set("BULLION_ARCHIVE_URL", &kept);
            // offsets are committed when a file ends
            project.set("BULLION_ARCHIVE_ROLL_AFTER", "200ms");
        }
        let told = plan.earlier == Earlier::Told;
        if told {
            orders.tell_images().await;
        }
        let job = orders::JOB
            .replace("{topic}", &orders.topic())
            .replace("{told}", &told.to_string());
        project.write("jobs/silver/orders.toml", &job);
        let follow = match plan.arrival {
            Arrival::Followed => "schedule = \"on-change\"\n",
            Arrival::InTurns | Arrival::Live => "",
        };
        let (silver, gold) = (project.database("silver"), project.database("gold"));
        for (name, file, select) in orders::gold(&silver, &gold, follow) {
            project.write(&format!("jobs/gold/{name}.toml"), &file);
            project.write(&format!("jobs/gold/{name}.sql"), &select);
        }
        project.succeed(&["migrate"]);
        orders.change(40).await;
        let mut stage = Stage {
            orders,
            project,
            arrival: plan.arrival,
            earlier: plan.earlier,
            ingest: None,
            schedule: None,
            is_told: false,
            happened: Happened::default(),
        };
        // Debezium makes the topic with the first change
        stage.arrived().await?;
        let range = format!("gold --from {} --to {}", day(0), day(DAYS));
        stage.command(&range, None, &[0])?;
        if stage.arrival != Arrival::InTurns {
            stage.ingest = Some(stage.project.start(&["ingest"]));
        }
        if stage.arrival == Arrival::Followed {
            stage.schedule = Some(stage.project.start(&["schedule"]));
        }
        Ok(stage)
    }

    async fn play(&mut self, step: &Step) -> Result<(), String> {
        self.bury()?;
        match step {
            Step::Change(statements) => self.orders.change(*statements).await,
            Step::Ingest(point) => self.run_ingest(point.as_deref()).await?,
            Step::Build(command, point) => {
                let ended = self.command(command, point.as_deref(), &[0, KILLED])?;
                self.happened.builds += 1;
                if command.starts_with("backfill") && ended.exit == KILLED {
                    self.command(command, None, &[0])?;
                    self.happened.resumed += 1;
                }
                let all_jobs = command == "gold --dirty" || command == "gold --missing --dirty";
                let alone = self.arrival == Arrival::InTurns && self.is_told;
                if all_jobs && ended.exit == 0 && alone {
                    self.check().await?;
                }
            }
            Step::Replay => drop(self.command("replay orders --from-start", None, &[0])?),
            // rows on their way are left to ingest, or have to be there first
            Step::Repair => {
                let table = format!("public.{}", self.orders.table);
                let verify =
                    format!("verify orders --from-postgres {table} --repair --patience 1s");
                self.command(&verify, None, &[0, 4, 75])?;
            }
            Step::Resync => {
                let table = format!("public.{}", self.orders.table);
                let resync = format!("resync orders --from-postgres {table} --patience 2s");
                self.command(&resync, None, &[0, 75])?;
            }
            Step::Fill(fill) => self.fill(fill).await?,
            Step::Merge => {
                let silver = self.project.database("silver");
                let mut tables = vec!["orders_versions"];
                if self.earlier == Earlier::LookedUp {
                    tables.push("orders_times");
                }
                for table in tables {
                    let sql = format!("OPTIMIZE TABLE {silver}.{table} FINAL");
                    self.project.engine.ask(&sql).await?;
                }
            }
        }
        Ok(())
    }

    async fn run_ingest(&mut self, point: Option<&str>) -> Result<(), String> {
        if self.arrival == Arrival::InTurns {
            let ended = self.command("ingest --until-caught-up", point, &[0, KILLED])?;
            self.is_told = ended.exit == 0;
            return Ok(());
        }
        if let Some(ingest) = self.ingest.take() {
            ingest.signal("TERM");
            self.end(ingest, &[143, 137]).await?;
        }
        let armed = [("BULLION_FAILPOINT", point.unwrap_or_default())];
        self.ingest = Some(self.project.start_with(&["ingest"], &armed));
        Ok(())
    }

    /// Runs a command to its end, which must be one of these. Beside `schedule` a lease may be held.
    pub(super) fn command(
        &mut self,
        line: &str,
        point: Option<&str>,
        exits: &[i32],
    ) -> Result<Ran, String> {
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = self.project.command(&arguments);
        command.env("BULLION_FAILPOINT", point.unwrap_or_default());
        let ended = Ran::from(command.output().map_err(|error| error.to_string())?);
        self.happened.kills += usize::from(ended.exit == KILLED);
        let held = self.schedule.is_some() && matches!(ended.exit, 75 | 3);
        match held || exits.contains(&ended.exit) {
            true => Ok(ended),
            false => Err(format!(
                "`{line}` ended with {}:\n{}",
                ended.exit,
                ended.text()
            )),
        }
    }

    async fn end(&mut self, mut process: Running, exits: &[i32]) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while process.is_running() {
            if Instant::now() > until {
                return Err(format!("a process was still there after {PATIENCE:?}"));
            }
            tokio::time::sleep(TICK).await;
        }
        let exit = process.wait(Duration::ZERO);
        self.happened.kills += usize::from(exit == 137);
        match exits.contains(&exit) {
            true => Ok(()),
            false => Err(format!(
                "a process ended with {exit}:\n{}",
                self.project.log()
            )),
        }
    }

    /// A live ingest that met its fail point is started again.
    fn bury(&mut self) -> Result<(), String> {
        let Some(ingest) = &mut self.ingest else {
            return Ok(());
        };
        if ingest.is_running() {
            return Ok(());
        }
        let exit = ingest.wait(Duration::ZERO);
        if exit != 137 {
            return Err(format!(
                "ingest ended by itself with {exit}:\n{}",
                self.project.log()
            ));
        }
        self.happened.kills += 1;
        self.ingest = Some(self.project.start(&["ingest"]));
        Ok(())
    }

    /// Waits until silver holds what PostgreSQL does.
    async fn arrived(&mut self) -> Result<(), String> {
        let sql = format!(
            "SELECT id, toUnixTimestamp64Milli(at), amount FROM {}.orders ORDER BY id",
            self.project.database("silver")
        );
        let wanted = self.orders.rows().await;
        let until = Instant::now() + PATIENCE;
        loop {
            self.bury()?;
            if self.ingest.is_none() {
                // there may be no topic yet
                let ended = self.command("ingest --until-caught-up", None, &[0, 1, 2])?;
                self.is_told = ended.exit == 0;
            }
            let found = self.project.engine.rows(&sql).await;
            if found == wanted {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("silver holds {found:#?} and not {wanted:#?}"));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn gold(&self) -> [Vec<String>; 3] {
        let gold = self.project.database("gold");
        let rows = async |table: &str| {
            let sql = format!("SELECT * FROM {gold}.{table} ORDER BY 1");
            self.project.engine.rows(&sql).await
        };
        [
            rows("daily").await,
            rows("weekly").await,
            rows("whole").await,
        ]
    }

    /// In mid-plan, where nothing runs beside: `--dirty` left nothing behind of what silver holds.
    async fn check(&mut self) -> Result<(), String> {
        self.happened.checks += 1;
        let silver = self.project.database("silver");
        let sql = format!(
            "SELECT toDate(assumeNotNull(at), 'Europe/Berlin') AS day, count(), sum(amount) FROM {silver}.orders \
WHERE at IS NOT NULL GROUP BY day ORDER BY day"
        );
        let wanted = self.project.engine.rows(&sql).await;
        let [daily, ..] = self.gold().await;
        equal("daily, against silver", &daily, &wanted)
    }

    async fn judge(&mut self) -> Verdict {
        self.arrived().await?;
        if let Some(ingest) = self.ingest.take() {
            // what is visible was told before it was committed, and SIGTERM drains
            ingest.signal("TERM");
            self.end(ingest, &[143, 137]).await?;
            self.command("ingest --until-caught-up", None, &[0])?;
        }
        let wanted = self.orders.answers().await;
        let names = ["daily", "weekly", "whole"];
        if let Some(schedule) = self.schedule.take() {
            let until = Instant::now() + PATIENCE;
            while self.gold().await != wanted && Instant::now() < until {
                tokio::time::sleep(TICK).await;
            }
            schedule.signal("TERM");
            self.end(schedule, &[143]).await?;
        } else {
            self.command("gold --dirty --missing", None, &[0])?;
        }
        for ((name, found), wanted) in names.iter().zip(self.gold().await).zip(wanted) {
            equal(name, &found, &wanted)?;
        }
        let ended = self
            .command("gold --dirty --output json", None, &[0])?
            .json();
        if ended["windows"] != 0 && self.arrival != Arrival::Followed {
            return Err(format!("windows were still dirty: {ended}"));
        }
        for layer in ["silver", "gold", "ops"] {
            let sql = format!("DROP DATABASE {}", self.project.database(layer));
            self.project.engine.ask(&sql).await?;
        }
        let Happened {
            builds,
            kills,
            resumed,
            fills,
            killed_fills,
            checks,
        } = self.happened;
        Ok(format!(
            "{:?}, {:?}, {builds} builds, {kills} kills, {resumed} backfills of gold killed, {fills} fills, \
{killed_fills} fills killed, {checks} checks",
            self.arrival, self.earlier
        ))
    }
}

fn equal(what: &str, found: &[String], wanted: &[String]) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:#?} and not {wanted:#?}")),
    }
}
