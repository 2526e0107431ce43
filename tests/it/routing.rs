//! Several tables in one topic, as Debezium's routers leave them: each job takes its own, and offsets are those of the last.

use crate::support::kafka::{Topic, producer, send};
use crate::support::{Engine, PATIENCE, Project, wait_for};
fn job(topic: &str, table: &str, kind: &str) -> String {
    format!(
        "topic = \"{topic}\"\ntable = \"public.{table}\"\nkey = [\"id\"]\nexclude = [\"__dbz__physicalTableIdentifier\"]\n\
         [columns]\nid = \"Int64\"\nv = \"{kind}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_topic_take_their_own_tables_and_a_stopped_one_loses_nothing() {
    let name = "routing";
    let engine = Engine::of_stack();
    let project = Project::new(name, &engine).await;
    let topic = Topic::create(name, 2).await;
    for (table, kind) in [("orders", "Int32"), ("customers", "String")] {
        let text = job(&topic.name, table, kind);
        project.write(&format!("jobs/silver/{table}.toml"), &text);
    }
    project.succeed(&["migrate"]);
    let sending = producer(&[]);
    let change = |table: &str, op: &str, id: i64, v: &str| {
        let image = format!(r#"{{"id":{id},"v":{v}}}"#);
        let after = if op == "d" { "null" } else { &image };
        let value = format!(
            r#"{{"before":null,"after":{after},"source":{{"schema":"public","table":"{table}"}},"op":"{op}"}}"#
        );
        let key = format!(r#"{{"id":{id},"__dbz__physicalTableIdentifier":"{table}"}}"#);
        let partition = i32::try_from(id % 2).unwrap();
        send(
            &sending,
            &topic.name,
            partition,
            Some(&key),
            Some(value.as_bytes()),
        );
        if op == "d" {
            send(&sending, &topic.name, partition, Some(&key), None);
        }
    };
    let flush = || rdkafka::producer::Producer::flush(&sending, PATIENCE).unwrap();
    for id in 0..10 {
        change("orders", "c", id, "5");
        change("customers", "c", id, "\"x\"");
        change("suppliers", "c", id, "null");
    }
    change("customers", "d", 3, "");
    flush();
    let refused = project.run(&["ingest", "orders", "--until-caught-up"]);
    assert_eq!(refused.exit, 2, "{}", refused.text());
    let ended = project.succeed(&["ingest", "--until-caught-up", "--output", "json"]);
    let jobs = &ended.json()["jobs"];
    assert_eq!(
        jobs["orders"]["skips"]["other_table"],
        21,
        "{}",
        ended.text()
    );
    assert_eq!(jobs["customers"]["skips"]["other_table"], 20);
    let rows = |table: &str| format!("SELECT count(), sum(id) FROM {name}_silver.{table}");
    assert_eq!(engine.rows(&rows("orders")).await, ["10\t45"]);
    assert_eq!(engine.rows(&rows("customers")).await, ["9\t42"]);

    // one of them stops; the other goes on, and nothing is committed past what the stopped one has
    let group = format!("{name}-{}", std::process::id());
    let before: i64 = topic.committed(&group).iter().sum();
    assert_eq!(before, 32);
    engine
        .ask(&format!(
            "RENAME TABLE {name}_silver.customers_versions TO {name}_silver.away"
        ))
        .await
        .unwrap();
    let ingest = project.start(&["ingest"]);
    for id in 10..20 {
        change("orders", "c", id, "5");
        change("customers", "c", id, "\"x\"");
    }
    flush();
    wait_for("the orders", PATIENCE, || async {
        (engine.rows(&rows("orders")).await == ["20\t190"]).then_some(())
    })
    .await;
    ingest.kill();
    assert_eq!(topic.committed(&group).iter().sum::<i64>(), before);
    engine
        .ask(&format!(
            "RENAME TABLE {name}_silver.away TO {name}_silver.customers_versions"
        ))
        .await
        .unwrap();
    project.succeed(&["ingest", "--until-caught-up"]);
    assert_eq!(engine.rows(&rows("customers")).await, ["19\t187"]);
    assert_eq!(engine.rows(&rows("orders")).await, ["20\t190"]);
    assert_eq!(topic.committed(&group).iter().sum::<i64>(), 52);
    let letters = format!("SELECT count() FROM {name}_ops.dead_letters");
    assert_eq!(engine.number(&letters).await, 0);
}
