//! The scheduler: what a fire builds, what it waits for, and how it stops.

use std::process::Stdio;
use std::time::Duration;

use bullion::config::Config;
use bullion::job::Jobs;
use bullion::schedule::Scheduler;
use bullion::shutdown::Shutdown;
use bullion::sink::clickhouse::ClickHouse;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use crate::gold::{TOML, daily};
use crate::support::proxy::{Proxy, Weather};
use crate::support::{EmbeddedProject, PATIENCE, wait_for};

const SILVER: &str = "topic = \"shop.events\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The scheduler of a project, and what makes it stop.
async fn scheduler(project: &EmbeddedProject) -> (Scheduler, impl Sized + use<>) {
    scheduler_at(project, project.engine.child.url.clone()).await
}

async fn scheduler_at(project: &EmbeddedProject, url: String) -> (Scheduler, impl Sized + use<>) {
    let password = project.engine.child.password.expose_secret().to_owned();
    let environment = [
        ("BULLION_CLICKHOUSE_PASSWORD".to_owned(), password),
        ("BULLION_CLICKHOUSE_URL".to_owned(), url),
    ];
    let file = project.path("bullion.toml");
    let config = Config::load_from(Some(&file), &environment.into()).unwrap();
    let (sender, shutdown) = Shutdown::manual();
    let scheduler = Scheduler {
        clickhouse: ClickHouse::connect(&config.clickhouse).await.unwrap(),
        jobs: Jobs::load(&config).unwrap(),
        config,
        shutdown,
    };
    (scheduler, sender)
}

#[tokio::test]
async fn a_fire_builds_the_last_window_that_has_ended() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &format!("schedule = \"15 1 * * *\"\n{TOML}"),
    );
    let (scheduler, _stop) = scheduler(&project).await;
    let job = &scheduler.jobs.gold[0];
    let ended = scheduler
        .fire(job, at("2024-03-06T01:15:00Z"))
        .await
        .unwrap();
    assert_eq!((ended.state, ended.built, ended.exit), ("done", 1, 0));
    assert_eq!(
        project.ask("SELECT DISTINCT day FROM gold.daily").await,
        "2024-03-05"
    );
    let again = scheduler
        .fire(job, at("2024-03-06T01:15:00Z"))
        .await
        .unwrap();
    assert_eq!((again.state, again.unchanged), ("noop", 1));
    let runs =
        "SELECT command, state, scheduled_for, windows FROM ops.runs ORDER BY run_id LIMIT 1";
    assert_eq!(
        project.ask(runs).await,
        "schedule\tdone\t2024-03-06 01:15:00.000\t1"
    );
}

#[tokio::test]
async fn a_fire_waits_until_every_partition_has_passed_the_windows_end() {
    let project = daily().await;
    project.write("jobs/silver/events.toml", SILVER);
    let toml = format!(
        "schedule = \"15 1 * * *\"\ngrace = \"1h\"\ndepends_on = [\"silver.events\"]\n{TOML}"
    );
    project.write("jobs/gold/daily.toml", &toml);
    let (mut scheduler, _stop) = scheduler(&project).await;
    let job = scheduler.jobs.gold[0].clone();
    let seen = |partition: u8, time: &str| {
        format!(
            "INSERT INTO ops.checkpoints VALUES ('bullion', 'shop.events', {partition}, 7, '{time}', 7)"
        )
    };
    project
        .sql("INSERT INTO ops.topics VALUES ('shop.events', 0, 'c', 't', 2)")
        .await;
    project.sql(&seen(0, "2024-03-06 00:00:01")).await;
    // the grace of this fire was over long ago, and one partition was never read
    let late = scheduler
        .fire(&job, at("2024-03-06T01:15:00Z"))
        .await
        .unwrap();
    assert_eq!(
        (late.state, late.exit),
        ("not fresh", 75),
        "{}",
        late.message
    );
    assert!(
        late.message
            .contains("not every partition of topic shop.events"),
        "{}",
        late.message
    );
    // what another group has read is not what silver holds of ours
    let theirs = "INSERT INTO ops.checkpoints VALUES ('other', 'shop.events', 1, 7, '2024-03-07 00:00:00', 7)";
    project.sql(theirs).await;
    project.sql(&seen(1, "2024-03-05 23:59:59.999")).await;
    let late = scheduler
        .fire(&job, at("2024-03-06T01:15:00Z"))
        .await
        .unwrap();
    assert!(
        late.message
            .contains("has been read up to 2024-03-05 23:59:59.999"),
        "{}",
        late.message
    );
    assert_eq!(project.ask("SELECT count() FROM gold.daily").await, "0");

    // a run by hand may ask the same
    let careful = "gold daily --date 2024-03-05 --if-complete";
    let refused = project.run(careful).await.exits(75);
    assert!(
        refused.stderr.contains("has been read up to"),
        "{}",
        refused.stderr
    );

    // within the grace it waits, and builds as soon as the last partition has passed the end
    let patient = bullion::job::GoldJob {
        grace: Duration::from_secs(u32::MAX.into()),
        ..job
    };
    scheduler.jobs.gold.clear();
    let waiting = scheduler.fire(&patient, at("2024-03-06T01:15:00Z"));
    let passed = project.sql("INSERT INTO ops.checkpoints VALUES ('bullion', 'shop.events', 1, 8, '2024-03-06 00:00:00', 8)");
    let (ended, ()) = tokio::join!(waiting, passed);
    assert_eq!(ended.unwrap().state, "done");
    project.run(careful).await.exits(0);
}

#[tokio::test]
async fn a_fire_waits_for_the_gold_it_depends_on() {
    let project = daily().await;
    project.write("jobs/gold/weekly.toml", "grain = \"week\"\ntime_column = \"day\"\norder_by = [\"day\"]\ndepends_on = [\"gold.daily\"]\nschedule = \"0 3 * * 1\"\n");
    project.write(
        "jobs/gold/weekly.sql",
        "SELECT day, sum(events) AS events FROM gold.daily WHERE day >= toDate({from:DateTime64(3, 'UTC')}) \
AND day < toDate({to:DateTime64(3, 'UTC')}) GROUP BY day",
    );
    project.run("migrate").await.exits(0);
    let (scheduler, _stop) = scheduler(&project).await;
    let weekly = scheduler
        .jobs
        .select_gold(&["weekly".to_owned()])
        .unwrap()
        .remove(0);
    project
        .run("gold daily --from 2024-02-26 --to 2024-03-03")
        .await
        .exits(0);
    let early = scheduler
        .fire(&weekly, at("2024-03-04T03:00:00Z"))
        .await
        .unwrap();
    assert!(
        early
            .message
            .contains("window 2024-03-03 of gold job daily is not built"),
        "{}",
        early.message
    );
    project.run("gold daily --date 2024-03-03").await.exits(0);
    let ended = scheduler
        .fire(&weekly, at("2024-03-04T03:00:00Z"))
        .await
        .unwrap();
    assert_eq!(ended.state, "done", "{}", ended.message);
    assert_eq!(
        project.ask("SELECT sum(events) FROM gold.weekly").await,
        "300"
    );
    // one command builds both, the daily job first
    let both = project
        .run("gold --from 2024-03-04 --to 2024-03-11 --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(
        (&both["jobs"][0]["job"], &both["jobs"][1]["job"]),
        (&"daily".into(), &"weekly".into())
    );
    assert_eq!(
        project.ask("SELECT sum(events) FROM gold.weekly").await,
        "1000"
    );
}

#[tokio::test]
async fn the_loop_waits_for_clickhouse_fires_by_the_clock_and_ends_on_sigterm() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &format!("schedule = \"* * * * *\"\n{TOML}"),
    );
    let next = project
        .run("schedule --next 3 --output json")
        .await
        .exits(0)
        .json();
    assert_eq!(next["fires"].as_array().unwrap().len(), 3);
    // it is up before its ClickHouse is
    let server = project.engine.child.url.trim_start_matches("http://");
    let mut proxy = Proxy::before(server);
    proxy.set(Weather::Down);
    let log = std::fs::File::create(project.path("log")).unwrap();
    let mut command = project.command("schedule");
    let child = command
        .env(
            "BULLION_CLICKHOUSE_URL",
            format!("http://{}", proxy.address),
        )
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for("it to wait", PATIENCE, || async {
        let log = std::fs::read_to_string(project.path("log")).unwrap();
        log.contains("waiting for clickhouse").then_some(())
    })
    .await;
    proxy.set(Weather::Clear);
    let deadline = std::time::Instant::now() + PATIENCE;
    let fired = "SELECT count() FROM ops.runs WHERE command = 'schedule' AND state = 'noop'";
    let mut poll = tokio::time::interval(Duration::from_millis(200));
    while project.ask(fired).await == "0" {
        assert!(std::time::Instant::now() < deadline, "the loop never fired");
        poll.tick().await;
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let asked = std::time::Instant::now();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.status.code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_swap_that_is_cut_off_is_redone_in_seconds_though_its_job_fires_once_a_year() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &format!("schedule = \"0 0 1 1 *\"\n{TOML}"),
    );
    project.run("gold --date 2024-03-02").await.exits(0);
    let (scheduler, _stop) = scheduler(&project).await;
    cut_off_the_swap(&project).await;
    let redone = wait_for("the swap", PATIENCE, || async {
        let state = project.ask("SELECT state FROM ops.windows").await;
        (state == "done").then_some(())
    });
    tokio::select! {
        () = redone => {}
        ended = scheduler.run() => panic!("the scheduler ended: {ended:?}"),
    }
    let rows = "SELECT count(), sum(events) FROM gold.daily";
    assert_eq!(project.ask(rows).await, "3\t100");
}

/// What ClickHouse's end leaves of a REPLACE: old rows beside new ones.
async fn cut_off_the_swap(project: &EmbeddedProject) {
    let swapping = "INSERT INTO ops.windows_versions \
SELECT * REPLACE ('swapping' AS state, version + 100 AS version) FROM ops.windows_versions FINAL";
    project.sql(swapping).await;
    let twice = "INSERT INTO gold.daily SELECT * FROM gold.daily";
    project.sql(twice).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_fire_whose_target_is_held_by_the_repair_of_another_job_builds_when_that_has_ended() {
    let project = daily().await;
    let cron = format!("schedule = \"15 1 * * *\"\n{TOML}");
    for job in ["daily", "kinds"] {
        project.write(&format!("jobs/gold/{job}.toml"), &cron);
    }
    project.write("jobs/gold/kinds.sql", crate::gold::SQL);
    project.run("migrate").await.exits(0);
    project.run("gold daily --date 2024-03-02").await.exits(0);
    let (scheduler, _stop) = scheduler(&project).await;
    cut_off_the_swap(&project).await;
    // whoever builds the other job makes this one whole first, under its lease
    let mut other = project
        .stopped("gold kinds --date 2024-03-02", "staging-filled:1")
        .await;
    let runs = "SELECT state FROM ops.runs WHERE command = 'schedule' ORDER BY run_id";
    let met = wait_for("the fire to meet the lease", PATIENCE, || async {
        (project.ask(runs).await == "lease held").then_some(())
    });
    let job = scheduler.jobs.gold.iter().find(|job| job.name == "daily");
    let fire = scheduler.fire(job.unwrap(), at("2024-03-06T01:15:00Z"));
    let freed = async {
        met.await;
        other.signal("CONT");
    };
    let (ended, ()) = tokio::join!(fire, freed);
    assert_eq!(ended.unwrap().state, "done");
    assert_eq!(other.wait(PATIENCE), 0);
    assert_eq!(project.ask(runs).await, "lease held\ndone");
    let rows = "SELECT day, sum(events) FROM gold.daily GROUP BY day ORDER BY day";
    assert_eq!(project.ask(rows).await, "2024-03-02\t100\n2024-03-05\t100");
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn of_two_schedulers_that_fire_at_once_one_builds() {
    let project = daily().await;
    let cron = format!("schedule = \"15 1 * * *\"\n{TOML}");
    project.write("jobs/gold/daily.toml", &cron);
    project.run("migrate").await.exits(0);
    let (scheduler, _stop) = scheduler(&project).await;
    // the other one builds the day before first, and has yet to read this one
    let mut other = project
        .stopped("gold --from 2024-03-04 --to 2024-03-06", "staging-filled:1")
        .await;
    let runs = "SELECT state FROM ops.runs WHERE command = 'schedule' ORDER BY run_id";
    let met = wait_for("the fire to meet the lease", PATIENCE, || async {
        (project.ask(runs).await == "lease held").then_some(())
    });
    let fire = scheduler.fire(&scheduler.jobs.gold[0], at("2024-03-06T01:15:00Z"));
    let freed = async {
        met.await;
        other.signal("CONT");
    };
    let (ended, ()) = tokio::join!(fire, freed);
    let ended = ended.unwrap();
    assert_eq!((ended.state, ended.unchanged), ("noop", 1));
    assert!(ended.message.contains("meanwhile"), "{}", ended.message);
    assert_eq!(other.wait(PATIENCE), 0);
    assert_eq!(project.ask(runs).await, "lease held\nnoop");
    let built = "SELECT count() FROM ops.windows_versions \
WHERE state IN ('done', 'unchanged') AND toDate(window_from) = '2024-03-05'";
    assert_eq!(project.ask(built).await, "1");
}

#[tokio::test]
async fn a_fire_outlives_a_clickhouse_that_is_gone_when_it_would_build() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &format!("schedule = \"15 1 * * *\"\n{TOML}"),
    );
    let mut proxy = Proxy::before(project.engine.child.url.trim_start_matches("http://"));
    let (scheduler, _stop) = scheduler_at(&project, format!("http://{}", proxy.address)).await;
    proxy.set(Weather::Down);
    let fire = scheduler.fire(&scheduler.jobs.gold[0], at("2024-03-06T01:15:00Z"));
    let mut fire = std::pin::pin!(fire);
    let gone = tokio::time::timeout(Duration::from_secs(3), &mut fire).await;
    assert!(gone.is_err(), "it gave up: {gone:?}");
    proxy.set(Weather::Clear);
    assert_eq!(fire.await.unwrap().state, "done");
    assert_eq!(project.ask("SELECT state FROM ops.runs").await, "done");
}

#[tokio::test]
async fn the_manifest_says_what_a_scheduler_needs() {
    let project = daily().await;
    project.write(
        "jobs/gold/daily.toml",
        &format!("schedule = \"15 1 * * *\"\nzone = \"Europe/Berlin\"\n{TOML}"),
    );
    let manifest = project.run("manifest --output json").await.exits(0).json();
    let job = &manifest["gold"][0];
    assert_eq!(
        (&job["name"], &job["target"]),
        (&"daily".into(), &"gold.daily".into())
    );
    assert_eq!(
        (&job["grain"], &job["zone"]),
        (&"day".into(), &"Europe/Berlin".into())
    );
    assert_eq!(
        (&job["schedule"], &job["depends_on"]),
        (&"15 1 * * *".into(), &serde_json::json!([]))
    );
}
