//! Tables that are not one of ours alone, or whose keys are long.

use super::{JOB, verify};
use crate::support::kafka::Topic;
use crate::support::{Engine, Project, Source};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_several_tables_is_not_held_against_one_of_them() {
    let engine = Engine::of_stack();
    let project = Project::new("verify_several", &engine).await;
    let job = JOB.replace("{topic}", "shop.public.all");
    let job = format!("tables = [\"public.orders\", \"public.customers\"]\n{job}");
    project.write("jobs/silver/everything.toml", &job);
    for command in ["verify", "resync"] {
        let refused = project.run(&[command, "everything", "--from-postgres", "public.orders"]);
        assert_eq!(refused.exit, 2, "{}", refused.text());
        let text = refused.text();
        assert!(text.contains("holds the rows of several tables"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_hundreds_of_bytes_are_asked_for_together() {
    let name = "verify_pages";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let (source, topic) = (Source::new(name).await, Topic::create(name, 1).await);
    // five hundred of them are more than ClickHouse's own limit for a statement
    source
        .run(
            "CREATE TABLE pages (url text PRIMARY KEY, n int NOT NULL);
             INSERT INTO pages SELECT repeat('x', 600) || n, n FROM generate_series(1, 600) n",
        )
        .await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    let job = format!(
        "topic = \"{}\"\nkey = [\"url\"]\n[columns]\nurl = \"String\"\nn = \"Int32\"\n",
        topic.name
    );
    project.write("jobs/silver/pages.toml", &job);
    project.succeed(&["migrate"]);
    let rows = format!(
        "INSERT INTO {name}_silver.pages_versions (url, n, _version)
         SELECT concat(repeat('x', 600), toString(number + 1)), number + 1, 256 FROM numbers(600)"
    );
    engine.ask(&rows).await.unwrap();
    let from = ["--from-postgres", "public.pages", "--sample", "100"];
    let equal = verify(&project, "pages", &from).exits(0);
    assert_eq!(equal.json()["rows"], 600);
    assert_eq!(equal.json()["status"], "equal");
}
