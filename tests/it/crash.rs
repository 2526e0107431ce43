//! The main job end to end on real parts, while everything that can crash does.

use crate::bank::{
    ACCOUNTS, ACCOUNTS_BY_DAY, ACCOUNTS_BY_DAY_SQL, HISTORY, TABLES, WRITERS, assert_same,
    assert_same_gold, write_like_pgbench,
};
use crate::support::engine::OwnEngine;
use crate::support::program::Running;
use crate::support::{Engine, PATIENCE, Project, Source, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const KILLS_OF_INGEST: usize = 20;
const KILLS_OF_ENGINE: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn crashes_lose_nothing() {
    let name = "crashes_lose_nothing";
    let folder = tempfile::tempdir().unwrap();
    let mut own = OwnEngine::start(folder.path().join("engine")).await;
    let project = Project::new(name, &own.engine).await;
    let source = Source::new(name).await;
    for (table, job) in [("accounts", ACCOUNTS), ("history", HISTORY)] {
        let job = job.replace("{topic}", &source.topic(table));
        project.write(&format!("jobs/silver/{table}.toml"), &job);
    }
    project.write("jobs/gold/accounts_by_day.toml", ACCOUNTS_BY_DAY);
    let sql = ACCOUNTS_BY_DAY_SQL.replace("{silver}", &project.database("silver"));
    project.write("jobs/gold/accounts_by_day.sql", &sql);
    source.run(TABLES).await;
    source.run("INSERT INTO accounts SELECT 'snapshot', n, 'early', n, date_trunc('day', now(), 'UTC') - n * interval '1 minute', NULL FROM generate_series(1, 500) n").await;
    source.publish(&["accounts", "history"], &[]).await;
    source
        .run("INSERT INTO history (account, delta, at) VALUES (1, 1, now())")
        .await;
    project.succeed(&["migrate"]);
    wait_for_topics(&project).await;

    let killing = Arc::new(AtomicBool::new(true));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = source.another().await;
        writers.push(tokio::spawn(write_like_pgbench(
            client,
            writer,
            Arc::clone(&killing),
        )));
    }
    let engine_dies_at = KILLS_OF_INGEST / (KILLS_OF_ENGINE + 1);
    let mut ingest: Running = project.start(&["ingest"]);
    for kill in 1..=KILLS_OF_INGEST {
        wait_for_progress(&project, &mut ingest).await;
        ingest.kill();
        if kill % engine_dies_at == 0 && kill / engine_dies_at <= KILLS_OF_ENGINE {
            own.kill();
            own.restart().await;
        }
        ingest = project.start(&["ingest"]);
    }
    killing.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    source
        .run("INSERT INTO history (account, delta, at, note) VALUES (0, 0, now(), 'the end')")
        .await;
    wait_for_end(&project).await;
    assert_same(&source, &project).await;

    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143, "{}", project.log());
    let rejected = own
        .engine
        .number(&format!("SELECT count() FROM {name}_ops.dead_letters"))
        .await;
    assert_eq!(rejected, 0);

    project.succeed(&["gold", "accounts_by_day", "--last", "11d"]);
    assert_same_gold(&source, &project).await;
    let parts = format!(
        "SELECT name, hash_of_all_files FROM system.parts WHERE database = '{name}_gold' AND active ORDER BY name"
    );
    let before = own.engine.rows(&parts).await;
    project.succeed(&["gold", "accounts_by_day", "--last", "11d"]);
    assert_eq!(
        own.engine.rows(&parts).await,
        before,
        "a second build changes no part"
    );
}

/// Debezium has made both topics.
async fn wait_for_topics(project: &Project) {
    wait_for("both topics", PATIENCE, || async {
        let peek = project.run(&["ingest", "--peek", "1"]);
        (peek.exit == 0 && peek.stdout.contains("history partition")).then_some(())
    })
    .await;
}

/// Something new has reached silver since the call, so the kill hits a process at work.
async fn wait_for_progress(project: &Project, ingest: &mut Running) {
    let latest = |table: &str| {
        format!(
            "SELECT _partition, max(_version) AS latest FROM {}_silver.{table}_versions GROUP BY _partition",
            project.name
        )
    };
    let latest = format!(
        "SELECT sum(latest) FROM ({} UNION ALL {})",
        latest("accounts"),
        latest("history")
    );
    let before = project.engine.number(&latest).await;
    wait_for("progress of ingest", PATIENCE, || async {
        (project.engine.number(&latest).await > before).then_some(())
    })
    .await;
    assert!(ingest.is_running(), "{}", project.log());
}

async fn has_end(engine: &Engine, name: &str) -> bool {
    engine
        .number(&format!(
            "SELECT count() FROM {name}_silver.history WHERE note = 'the end'"
        ))
        .await
        == 1
}

async fn wait_for_end(project: &Project) {
    wait_for("the last row", PATIENCE, || async {
        has_end(&project.engine, &project.name).await.then_some(())
    })
    .await;
}
