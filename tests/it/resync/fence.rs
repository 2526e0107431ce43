//! A resync that falls asleep, and whoever takes its lease over meanwhile; what ingest needs while the tables are swapped.

use bullion::config::{Lease, LeasePlace};

use super::{LARGE, assert_equal, assert_tidy, noted, update};
use crate::support::kafka::{Topic, key};
use crate::support::program::{Running, process_state};
use crate::support::{Engine, PATIENCE, Project, wait_for};

const RESYNC: [&str; 4] = ["resync", "notes", "--from-postgres", "public.notes"];
/// A holder that is silent for a second has lost its lease.
const SHORT_LEASE: (&str, &str) = ("BULLION_LEASE_TTL", "1s");

/// Until the process has met its fail point.
async fn asleep(project: &Project, arguments: &[&str], point: &str) -> Running {
    let points = [("BULLION_FAILPOINT", point), SHORT_LEASE];
    let running = project.start_with(arguments, &points);
    let pid = running.0.id();
    wait_for("it to fall asleep", PATIENCE, || async {
        (process_state(pid) == Some('T')).then_some(())
    })
    .await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resync_that_wakes_up_after_its_lease_was_taken_neither_swaps_nor_drops_what_is_anothers()
{
    let (mut project, source, topic) = noted("resync_fence").await;
    project.set(SHORT_LEASE.0, SHORT_LEASE.1);
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    for (point, exit) in [
        // it is about to swap
        ("resync-checked:1:stop", 75),
        // it has swapped, and is about to drop the old table
        ("resync-dropping:1:stop", 0),
    ] {
        let mut stale = asleep(&project, &RESYNC, point).await;
        update(&source, &topic, 1, point).await;
        topic.flush();
        project.succeed(&["ingest", "--until-caught-up"]);
        if exit == 0 {
            let finished = wait_for("the lease to be free", PATIENCE, || async {
                let ran = project.run(&[&RESYNC[..], &["--output", "json"]].concat());
                (ran.exit != 75).then_some(ran)
            })
            .await;
            assert_eq!(finished.exits(0).json()["finished_earlier"], true);
        }
        // the next one has an empty table, and is between any two of its steps
        let mut next = loop {
            let points = [("BULLION_FAILPOINT", "resync-begun:1:stop"), SHORT_LEASE];
            let mut running = project.start_with(&RESYNC, &points);
            let pid = running.0.id();
            let came_to = wait_for("it to fall asleep or to end", PATIENCE, || async {
                process_state(pid).filter(|state| ['T', 'Z'].contains(state))
            })
            .await;
            match came_to {
                'T' => break running,
                _ => assert_eq!(running.wait(PATIENCE), 75, "{}", project.log()),
            }
        };
        stale.signal("CONT");
        assert_eq!(stale.wait(PATIENCE), exit, "{point}\n{}", project.log());
        assert_equal(&project);
        next.signal("CONT");
        assert_eq!(next.wait(PATIENCE), 0, "{point}\n{}", project.log());
        assert_equal(&project);
        assert_tidy(&project).await;
    }
    assert!(
        project
            .log()
            .contains("the lease of silver.notes was taken over"),
        "{}",
        project.log()
    );
}

const MORE: &str = "more = { type = \"String\", toast = \"keep\" }\n";
const UNSENT: &str = "__debezium_unavailable_value";

fn send(topic: &Topic, op: char, id: i64, note: &str, big: &str) {
    let more = match big == UNSENT {
        true => format!(r#","more":"{UNSENT}""#),
        false => String::new(),
    };
    let value = format!(
        r#"{{"before":null,"after":{{"id":{id},"note":"{note}","big":"{big}"{more}}},"source":{{"lsn":1}},"op":"{op}"}}"#
    );
    topic.send(0, Some(&key(id)), Some(value.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_update_did_not_send_is_found_in_the_table_that_was_just_swapped_out() {
    let name = "resync_between";
    let project = Project::new(name, &Engine::of_stack()).await;
    let topic = Topic::create(name, 1).await;
    let job = LARGE.replace("{topic}", &topic.name);
    project.write("jobs/silver/notes.toml", &job);
    project.succeed(&["migrate"]);
    let ingest = || {
        topic.flush();
        project.succeed(&["ingest", "--until-caught-up"]);
    };
    for id in 1..4 {
        send(&topic, 'c', id, "first", "first");
    }
    ingest();
    let resync = ["resync", "notes", "--source", "kafka", "--output", "json"];
    let points = "resync-checked:1:stop,resync-swapped:1:kill";
    let mut cut_off = asleep(&project, &resync, points).await;
    // nobody changes the columns of either table now
    let folder = project.path(".bullion/leases");
    let leases = Lease {
        place: LeasePlace::File { folder },
        ttl: PATIENCE,
    };
    let columns = format!("{}.notes.columns", project.database("silver"));
    let held = bullion::lease::Lease::held(&leases, &columns).await;
    assert!(held.unwrap().is_some());
    // what was copied before does not have these
    send(&topic, 'u', 1, "second", "second");
    send(&topic, 'c', 9, "second", "ninth");
    ingest();
    cut_off.signal("CONT");
    assert_eq!(cut_off.wait(PATIENCE), 128 + 9);
    // the old table never gets this one
    project.write("jobs/silver/notes.toml", &format!("{job}{MORE}"));
    project.succeed(&["migrate"]);
    send(&topic, 'u', 1, "third", UNSENT);
    send(&topic, 'u', 2, "third", UNSENT);
    send(&topic, 'u', 9, "third", UNSENT);
    ingest();
    let rows = format!(
        "SELECT id, note, big FROM {}.notes ORDER BY id",
        project.database("silver")
    );
    let kept = [
        "1\tthird\tsecond",
        "2\tthird\tfirst",
        "3\tfirst\tfirst",
        "9\tthird\tninth",
    ];
    assert_eq!(project.engine.rows(&rows).await, kept);
    let again = project.succeed(&resync).json();
    assert_eq!(again["finished_earlier"], true);
    assert_eq!(project.engine.rows(&rows).await, kept);
    let letters = format!(
        "SELECT offset, reason, column FROM {}.dead_letters",
        project.database("ops")
    );
    assert_eq!(project.engine.rows(&letters).await, Vec::<String>::new());
    assert_tidy(&project).await;
}
