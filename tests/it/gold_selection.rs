//! `--select` and `--exclude` on the real engine: what lies around a job is built, in order, and nothing else.

use crate::support::EmbeddedProject;

const SILVER: &str = "topic = \"shop.public.orders\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";

async fn project() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project.write("jobs/silver/orders.toml", SILVER);
    // `a_report` reads what `daily` builds, so that a wrong order shows
    for (name, depends_on, tags, sql) in [
        (
            "daily",
            "'silver.orders'",
            "'fast'",
            "SELECT count() AS n FROM numbers(7)",
        ),
        (
            "a_report",
            "'gold.daily'",
            "",
            "SELECT sum(n) AS n FROM gold.daily",
        ),
        ("alone", "", "'fast'", "SELECT 1 AS n"),
    ] {
        let toml = format!(
            "grain = 'table'\norder_by = ['n']\ndepends_on = [{depends_on}]\ntags = [{tags}]\n"
        );
        project.write(&format!("jobs/gold/{name}.toml"), &toml);
        project.write(&format!("jobs/gold/{name}.sql"), sql);
    }
    project
}

#[tokio::test]
async fn what_follows_from_a_silver_table_is_built_in_order_and_nothing_else() {
    let project = project().await;
    project.run("migrate").await.exits(0);
    let built = async |arguments: &str| {
        let command = format!("gold {arguments} --output json");
        let jobs = project.run(&command).await.exits(0).json()["jobs"].clone();
        let names = jobs.as_array().unwrap().iter();
        names
            .map(|job| job["job"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        built("--select silver.orders+").await,
        ["daily", "a_report"]
    );
    assert_eq!(project.ask("SELECT n FROM gold.a_report").await, "7");
    let ledger = "SELECT DISTINCT job FROM ops.windows ORDER BY job";
    assert_eq!(project.ask(ledger).await, "a_report\ndaily");
    assert_eq!(built("--select tag:fast --exclude daily").await, ["alone"]);
    assert_eq!(built("a_report --select alone").await.len(), 2);
    let refused = project.run("gold --select tag:fats").await.exits(2).text();
    assert!(refused.contains("did you mean `tag:fast`?"), "{refused}");
}
