//! Debezium's heartbeats move the watermark of partitions that have nothing to say.

use crate::support::{Engine, PATIENCE, Project, Source, wait_for};

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_move_quiet_partitions() {
    let name = "heartbeats_move_quiet_partitions";
    let engine = Engine::of_stack();
    let project = Project::new(name, &engine).await;
    let source = Source::new(name).await;
    source
        .run("CREATE TABLE quiet (id bigint PRIMARY KEY); INSERT INTO quiet VALUES (1)")
        .await;
    source.publish(&["quiet"], &[]).await;
    let job = JOB.replace("{topic}", &source.topic("quiet"));
    project.write("jobs/silver/quiet.toml", &job);
    project.succeed(&["migrate"]);
    wait_for("the topic", PATIENCE, || async {
        let peek = project.run(&["ingest", "--peek", "1"]);
        (peek.exit == 0 && peek.stdout.contains("row")).then_some(())
    })
    .await;

    let ingest = project.start(&["ingest"]);
    let now = engine
        .number("SELECT toUnixTimestamp64Milli(now64(3))")
        .await;
    // one row lives in one of three partitions: the other two have only heartbeats
    let lowest = format!(
        "SELECT if(count(source_time) = 3, toUnixTimestamp64Milli(min(source_time)), 0)
         FROM {name}_ops.checkpoints FINAL WHERE topic = '{}'",
        source.topic("quiet")
    );
    wait_for("every partition's source time", PATIENCE, || async {
        (engine.number(&lowest).await > now).then_some(())
    })
    .await;
    ingest.kill();
}
