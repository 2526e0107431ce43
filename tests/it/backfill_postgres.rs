//! Silver filled from its source database: which version its rows get, killed and cancelled, beside a running ingest.

use std::time::Duration;

use bullion::column::version;

use crate::support::kafka::{Topic, change, key};
use crate::support::{Dice, Engine, PATIENCE, Project, Source, wait_for};

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
"#;
const BACKFILL: [&str; 7] = [
    "backfill",
    "notes",
    "--source",
    "postgres",
    "--table",
    "public.notes",
    "--output=json",
];

/// A table of PostgreSQL whose changes are written to the topic by hand, and its job.
async fn noted(name: &str, partitions: i32) -> (Project, Source, Topic) {
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let topic = Topic::create(name, partitions).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.write(
        "jobs/silver/notes.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    source
        .run("CREATE TABLE notes (id bigint PRIMARY KEY, note text)")
        .await;
    (project, source, topic)
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BACKFILL.iter().chain(more).copied().collect()
}

async fn silver(project: &Project) -> Vec<String> {
    let sql = format!(
        "SELECT id, note FROM {}.notes ORDER BY id",
        project.database("silver")
    );
    project.engine.rows(&sql).await
}

async fn source_rows(source: &Source) -> Vec<String> {
    source.rows("SELECT id, note FROM notes ORDER BY id").await
}

async fn count(project: &Project, table: &str, condition: &str) -> u64 {
    let sql = format!(
        "SELECT count() FROM {}.{table} WHERE {condition}",
        project.database("ops")
    );
    project.engine.number(&sql).await
}

/// What happens to a key, around the backfill.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Update,
    Delete,
    Backfill,
}

/// Keys of three partitions whose ends are 10, 1,000,000 and 0.
struct World {
    source: Source,
    topic: Topic,
}

impl World {
    async fn change(&self, id: i64, partition: i32, step: Step, note: &str) {
        let (sql, op) = match step {
            Step::Update => (
                format!(
                    "INSERT INTO notes VALUES ({id}, '{note}') ON CONFLICT (id) DO UPDATE SET note = '{note}'"
                ),
                'u',
            ),
            Step::Delete => (format!("DELETE FROM notes WHERE id = {id}"), 'd'),
            Step::Backfill => return,
        };
        self.source.run(&sql).await;
        let value = change(op, id, note);
        self.topic
            .send(partition, Some(&key(id)), Some(value.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfilled_row_wins_over_every_earlier_change_and_loses_to_every_later_one() {
    use Step::{Backfill, Delete, Update};
    let (project, source, topic) = noted("backfill_versions", 3).await;
    let world = World { source, topic };
    // partition 1 is far on; what retention took is never read
    for _ in 0..999_990 {
        world.topic.send(1, None, None);
    }
    world.topic.flush();
    world.topic.delete_below(1, 999_990).await;
    // a known key of each filled partition, which silver has wrong; and what nobody has told silver of
    for partition in [0, 1] {
        for id in 0..10 {
            let id = i64::from(partition) * 100 + id;
            world.change(id, partition, Update, "told").await;
        }
    }
    world.topic.flush();
    assert_eq!(
        [0, 1, 2].map(|partition| world.topic.end(partition)),
        [Some(10), Some(1_000_000), Some(0)]
    );
    world
        .source
        .run("UPDATE notes SET note = 'untold'; INSERT INTO notes SELECT n, 'new' FROM generate_series(1000, 1999) n")
        .await;
    let _ingest = project.start(&["ingest"]);
    let filled = project.succeed(&with(&["--chunk", "100"])).json();
    assert_eq!(
        (&filled["read"], &filled["written"], &filled["chunks"]),
        (&1020.into(), &1020.into(), &11.into())
    );
    assert_eq!(silver(&project).await, source_rows(&world.source).await);
    let sql = format!(
        "SELECT DISTINCT _partition, _version FROM {}.notes_versions FINAL ORDER BY 1",
        project.database("silver")
    );
    let below = |offset| version(1, offset) + 1;
    assert_eq!(
        project.engine.rows(&sql).await,
        [
            format!("-1\t{}", version(1, 0) - 255),
            format!("0\t{}", below(9)),
            format!("1\t{}", below(999_999))
        ]
    );

    // updates, deletes and another backfill in every order, of keys that are known, and that come to any partition
    let orders = [
        [Update, Delete, Backfill],
        [Delete, Update, Backfill],
        [Update, Backfill, Delete],
        [Delete, Backfill, Update],
        [Backfill, Update, Delete],
        [Backfill, Delete, Update],
    ];
    let homes = [(0, 0), (100, 1), (1000, 0), (1100, 1), (1200, 2)];
    let mut steps = Vec::new();
    for (first, partition) in homes {
        for (id, order) in (first..).zip(orders) {
            steps.push((id, partition, order));
        }
    }
    let around = |after: bool| {
        steps.iter().flat_map(move |(id, partition, order)| {
            let at = order.iter().position(|step| *step == Backfill).unwrap();
            let part = if after { &order[at..] } else { &order[..at] };
            part.iter().map(move |step| (*id, *partition, *step))
        })
    };
    for (id, partition, step) in around(false) {
        world.change(id, partition, step, "before").await;
    }
    world.topic.flush();
    project.succeed(&BACKFILL);
    assert_eq!(silver(&project).await, source_rows(&world.source).await);
    for (id, partition, step) in around(true) {
        world.change(id, partition, step, "after").await;
    }
    world.topic.flush();
    let expected = source_rows(&world.source).await;
    wait_for("the changes after the backfill", PATIENCE, || async {
        (silver(&project).await == expected).then_some(())
    })
    .await;
    // whatever is delivered again has lost already
    project.succeed(&["replay", "notes", "--from-start"]);
    assert_eq!(silver(&project).await, expected);
    project.succeed(&BACKFILL);
    assert_eq!(silver(&project).await, expected);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_killed_or_cancelled_goes_on_with_the_chunks_that_are_left() {
    let (mut project, source, topic) = noted("backfill_killed", 2).await;
    topic.insert(0..10);
    project.succeed(&["ingest", "--until-caught-up"]);
    source
        .run("INSERT INTO notes SELECT n, 'x' FROM generate_series(0, 4999) n")
        .await;
    let planned = project
        .succeed(&with(&["--chunk", "500", "--dry-run"]))
        .json();
    assert_eq!(
        (&planned["chunks"], &planned["to_read"]),
        (&10.into(), &5000.into())
    );
    assert_eq!(silver(&project).await.len(), 10, "a dry run writes nothing");
    assert_eq!(count(&project, "backfill_chunks", "1").await, 0);

    let one_by_one = with(&["--chunk", "500", "--parallel", "1"]);
    project.set("BULLION_FAILPOINT", "chunk-done:3:kill");
    assert_eq!(project.run(&one_by_one).exit, -1);
    assert_eq!(
        count(&project, "backfill_chunks", "state = 'done'").await,
        3
    );
    // its rows are there, and the ledger does not know it
    project.set("BULLION_FAILPOINT", "chunk-written:2:kill");
    assert_eq!(project.run(&one_by_one).exit, -1);
    assert_eq!(
        count(&project, "backfill_chunks", "state = 'done'").await,
        4
    );
    project.unset("BULLION_FAILPOINT");
    assert_eq!(silver(&project).await.len(), 2_500);

    // one at a time, and slow enough to be cancelled
    let slow = with(&["--chunk", "500", "--parallel", "1", "--rate", "200"]);
    let mut cancelled = project.start(&slow);
    // the third word on it, after those of the two that were killed
    wait_for("the backfill to go on", PATIENCE, || async {
        (count(&project, "backfills_versions", "version = 3").await == 1).then_some(())
    })
    .await;
    assert_eq!(project.run(&one_by_one).exit, 75);
    cancelled.signal("TERM");
    assert_eq!(cancelled.wait(Duration::from_secs(4)), 143);
    assert_eq!(count(&project, "backfills", "state = 'stopped'").await, 1);
    let before = count(&project, "backfill_chunks", "state = 'done'").await;

    let rest = project.succeed(&one_by_one).json();
    assert_eq!(rest["finished_before"], before);
    assert_eq!(rest["read"], 5000 - 500 * before);
    assert_eq!(silver(&project).await, source_rows(&source).await);
    assert_eq!(count(&project, "backfills", "state = 'done'").await, 1);
    // asked again it is another one
    let again = project.succeed(&one_by_one).json();
    assert_eq!(
        (&again["finished_before"], &again["read"]),
        (&0.into(), &5000.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_beside_ingest_ends_as_the_source_does() {
    let (project, source, topic) = noted("backfill_live", 3).await;
    source
        .run("INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 3000) n")
        .await;
    topic.insert(1..1_000);
    let behind = project.run(&with(&["--patience", "0s"]));
    assert_eq!(behind.exit, 75, "{}", behind.text());
    assert!(
        behind.json()["error"]
            .as_str()
            .unwrap()
            .contains("ingest has not read")
    );
    let _ingest = project.start(&["ingest"]);
    let mut filling = project.start(&with(&[
        "--chunk",
        "100",
        "--parallel",
        "4",
        "--rate",
        "1500",
    ]));
    let mut dice = Dice::new(5);
    let mut turns = 0;
    while filling.is_running() {
        turns += 1;
        let id = 1 + i64::try_from(dice.below(3_100)).unwrap();
        let note = format!("turn {turns}");
        let (sql, op) = match dice.below(4) {
            0 => (format!("DELETE FROM notes WHERE id = {id}"), 'd'),
            _ => (
                format!(
                    "INSERT INTO notes VALUES ({id}, '{note}') ON CONFLICT (id) DO UPDATE SET note = '{note}'"
                ),
                'u',
            ),
        };
        source.run(&sql).await;
        topic.change(op, id, &note);
    }
    assert_eq!(filling.wait(PATIENCE), 0, "{}", project.log());
    assert!(turns > 20, "{turns} changes meanwhile");
    topic.flush();
    let expected = source_rows(&source).await;
    wait_for("silver to be the source", PATIENCE, || async {
        (silver(&project).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rows_of_a_time_are_read_the_newest_first_where_asked() {
    let (mut project, source, topic) = noted("backfill_times", 1).await;
    let job = JOB.replace("{topic}", &topic.name).replace(
        "[columns]",
        "time_column = \"at\"\n[columns]\nat = \"DateTime64(6, 'UTC')\"",
    );
    project.write("jobs/silver/notes.toml", &job);
    source
        .run(
            "DROP TABLE notes; CREATE TABLE notes (id bigint PRIMARY KEY, note text, at timestamptz NOT NULL);
             INSERT INTO notes SELECT n, 'x', timestamptz '2024-03-01 00:00+00' + n * interval '1 hour' FROM generate_series(0, 239) n",
        )
        .await;
    let sql = format!("DROP DATABASE {}", project.database("silver"));
    project.engine.ask(&sql).await.unwrap();
    project.succeed(&["migrate"]);
    project.set("BULLION_TIME_ZONE", "Europe/Berlin");
    let ran = project.succeed(&[
        "backfill",
        "notes",
        "--source",
        "postgres",
        "--table",
        "notes",
        "--from",
        "2024-03-03",
        "--to",
        "2024-03-05T12:00:00Z",
        "--order",
        "newest",
        "--parallel",
        "1",
        "--chunk",
        "20",
    ]);
    assert!(
        ran.stdout
            .contains("[2024-03-02T23:00:00Z, 2024-03-05T12:00:00Z) of at")
            && ran.stdout.contains("no index of the table begins with at")
            && ran
                .stdout
                .contains("4 to read with 61 rows, 1 at a time, newest first"),
        "{}",
        ran.text()
    );
    let sql = format!(
        "SELECT min(id), max(id), count() FROM {}.notes",
        project.database("silver")
    );
    assert_eq!(project.engine.rows(&sql).await, ["47\t107\t61"]);
    let touched = count(&project, "touches FINAL", "job = 'notes'").await;
    assert_eq!(touched, 61, "gold hears of every hour that was written");
    let order = format!(
        "SELECT number FROM {}.backfill_chunks ORDER BY recorded_at, number DESC",
        project.database("ops")
    );
    assert_eq!(project.engine.rows(&order).await, ["3", "2", "1", "0"]);

    for (arguments, said) in [
        ("backfill notes", "where do its rows come from?"),
        (
            "backfill notes --from 2024-03-01 --to 2024-03-02",
            "where do its rows come from?",
        ),
        (
            "backfill notes --source postgres --table notes --from 2024-03-02 --to 2024-03-02",
            "holds nothing",
        ),
        ("backfill nots --source postgres", "did you mean `notes`?"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let refused = project.run(&arguments);
        assert_eq!(refused.exit, 2, "{}", refused.text());
        assert!(refused.stderr.contains(said), "{}", refused.text());
    }
}
