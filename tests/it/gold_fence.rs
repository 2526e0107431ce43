//! A process sleeps between the check of its lease and its swap, somebody else builds the window meanwhile, and it wakes up.

use std::process::Stdio;

use crate::gold::daily;
use crate::support::postgres::address;
use crate::support::program::{Running, process_state};
use crate::support::{EmbeddedProject, PATIENCE, SourceProject, stack, wait_for};

/// A holder that is silent for a second has lost its lease.
const SHORT_LEASE: &str = "[lease]\nttl = \"1s\"\n";
const HELD: &str = "SELECT day, kind, events, total FROM gold.daily ORDER BY ALL";

/// What the process that falls asleep builds, where it falls asleep, and what happens to its input before and meanwhile.
struct Sleeper {
    command: &'static str,
    point: &'static str,
    before: &'static str,
    meanwhile: &'static str,
}

const SLEEPERS: [Sleeper; 4] = [
    Sleeper {
        command: "gold daily --date 2024-03-05",
        point: "lease-checked:1:stop",
        before: "INSERT INTO events VALUES ('2024-03-05 01:00:00', 'a', 1)",
        meanwhile: "INSERT INTO events VALUES ('2024-03-05 02:00:00', 'b', 2)",
    },
    Sleeper {
        command: "gold daily --date 2024-03-05",
        point: "swap-announced:1:stop",
        before: "INSERT INTO events VALUES ('2024-03-05 03:00:00', 'a', 3)",
        meanwhile: "INSERT INTO events VALUES ('2024-03-05 04:00:00', 'b', 4)",
    },
    // what it holds in hand is an empty window
    Sleeper {
        command: "gold daily --date 2024-03-06",
        point: "lease-checked:1:stop",
        before: "ALTER TABLE events DELETE WHERE toDate(at) = '2024-03-06' SETTINGS mutations_sync = 2",
        meanwhile: "INSERT INTO events VALUES ('2024-03-06 05:00:00', 'c', 5)",
    },
    // three windows in flight, all of them past their check
    Sleeper {
        command: "backfill daily --from 2024-03-01 --to 2024-03-04 --parallel 3 --rebuild",
        point: "lease-checked:1:hold=3000,lease-checked:2:hold=3000,lease-checked:3:stop",
        before: "INSERT INTO events SELECT toDateTime64('2024-03-01 00:00:00', 3, 'UTC') + number * 86400, 'a', 6 FROM numbers(3)",
        meanwhile: "INSERT INTO events SELECT toDateTime64('2024-03-01 00:00:00', 3, 'UTC') + number * 86400, 'b', 7 FROM numbers(3)",
    },
];

async fn cannot_swap(project: &EmbeddedProject, sleeper: &Sleeper) {
    let Sleeper { command, point, .. } = sleeper;
    project.sql(sleeper.before).await;
    let log = project.path("sleeper.log");
    let child = project
        .command(command)
        .env("BULLION_FAILPOINT", point)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut asleep = Running(child);
    let pid = asleep.0.id();
    wait_for("it to fall asleep", PATIENCE, || async {
        (process_state(pid) == Some('T')).then_some(())
    })
    .await;
    project.sql(sleeper.meanwhile).await;
    let built = wait_for("the lease to be free", PATIENCE, || async {
        let ran = project.run(command).await;
        (ran.exit != 75).then_some(ran)
    })
    .await;
    built.exits(0);
    let right = project.ask(HELD).await;
    let wrong = "SELECT count() FROM (SELECT day, kind, events, total FROM gold.daily EXCEPT SELECT toDate(at) AS day, kind, count() AS events, \
sum(amount) AS total FROM events GROUP BY day, kind)";
    assert_eq!(project.ask(wrong).await, "0", "{command} at {point}");
    asleep.signal("CONT");
    let exit = asleep.wait(PATIENCE);
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(exit, 75, "{command} at {point}\n{said}");
    assert!(
        said.contains("the lease of gold.daily was taken over"),
        "{said}"
    );
    assert_eq!(
        project.ask(HELD).await,
        right,
        "{command} at {point}\n{said}"
    );
    let unfinished = "SELECT count() FROM ops.windows WHERE state NOT IN ('done', 'unchanged')";
    assert_eq!(project.ask(unfinished).await, "0", "{command} at {point}");
}

async fn nobody_swaps_after_waking_up(project: &EmbeddedProject) {
    project
        .run("gold daily --from 2024-03-01 --to 2024-03-11")
        .await
        .exits(0);
    for sleeper in &SLEEPERS {
        cannot_swap(project, sleeper).await;
    }
    let staging =
        "SELECT count() FROM system.tables WHERE database = 'gold' AND name LIKE '%staging%'";
    assert_eq!(project.ask(staging).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_up_after_its_lease_was_taken_cannot_swap() {
    let project = daily().await;
    project.configure(SHORT_LEASE);
    nobody_swaps_after_waking_up(&project).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_up_after_its_lease_in_postgres_was_taken_cannot_swap() {
    let source = SourceProject::new("gold_fence", "").await;
    let mut project = daily().await;
    let password = stack("BULLION_POSTGRES_PASSWORD");
    let url = address(&source.name).replacen(&format!(":{password}@"), "@", 1);
    project.set("BULLION_LEASE_PASSWORD", &password);
    project.configure(&format!(
        "{SHORT_LEASE}kind = \"postgres\"\nurl = \"{url}\"\n"
    ));
    nobody_swaps_after_waking_up(&project).await;
    let taken = source
        .count("SELECT token FROM bullion_leases WHERE target = 'gold.daily'")
        .await;
    assert!(taken > 8, "every one of them took it: {taken}");
}
