//! `bullion lineage` and `check`'s advice: what a SELECT reads, said or not.

use crate::support::EmbeddedProject;

const SILVER: &str = "topic = \"shop.public.orders\"\nkey = [\"id\"]\ntime_column = \"ordered_at\"\n\
    [columns]\nid = \"Int64\"\namount = { type = \"Decimal(10, 2)\", name = \"paid\" }\nordered_at = \"DateTime64(6, 'UTC')\"\n";

/// `daily` reads orders and a table of nobody's; `report` reads daily without saying so, and says that it reads orders.
async fn project() -> EmbeddedProject {
    let project = EmbeddedProject::new().await;
    project.write("jobs/silver/orders.toml", SILVER);
    let head =
        "grain = 'day'\ntime_column = 'day'\norder_by = ['day']\ndepends_on = ['silver.orders']\n";
    project.write("jobs/gold/daily.toml", head);
    project.write("jobs/gold/report.toml", head);
    let window = "from = {from:DateTime64(3, 'UTC')}, to = {to:DateTime64(3, 'UTC')}";
    project.write(
        "jobs/gold/daily.sql",
        &format!(
            "WITH paid AS (SELECT toDate(ordered_at) AS day, paid, id FROM silver.orders_between({window}))
SELECT day, count() AS orders, sum(paid * rate) AS revenue FROM paid CROSS JOIN default.rates GROUP BY day"
        ),
    );
    project.write(
        "jobs/gold/report.sql",
        "SELECT day, revenue / orders AS mean FROM gold.daily
WHERE day >= {from:DateTime64(3, 'UTC')} AND day < {to:DateTime64(3, 'UTC')} -- silver.orders",
    );
    project
}

#[tokio::test]
async fn a_table_that_is_read_and_not_declared_is_told_without_any_server() {
    let project = project().await;
    let toml = "[clickhouse]\nurl = \"http://127.0.0.1:1\"\n";
    project.write("bullion.toml", toml);
    let checked = project.run("check").await.exits(0).stdout;
    let advice = "advice: gold job report reads gold.daily, which its `depends_on` does not name";
    assert!(checked.contains(advice), "{checked}");
    assert!(!checked.contains("gold job daily"), "{checked}");
    let window = "at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}";
    let by = |column: &str| {
        let select = "SELECT toDate(ordered_at) AS day, count() AS n FROM silver.orders WHERE";
        let window = window.replace("at ", &format!("{column} "));
        project.write(
            "jobs/gold/daily.sql",
            &format!("{select} {window} GROUP BY day"),
        );
    };
    by("ordered_at");
    let checked = project.run("check").await.exits(0).stdout;
    assert!(!checked.contains("cuts its windows by"), "{checked}");
    assert!(checked.contains("FROM silver.orders_between("), "{checked}");
    by("paid");
    let checked = project.run("check").await.exits(0).stdout;
    let advice = "advice: gold job daily cuts its windows by `paid` of silver.orders, whose `time_column` is `ordered_at`";
    assert!(checked.contains(advice), "{checked}");
    let text = project.run("lineage").await.exits(0).stdout;
    for line in [
        "silver.orders ← topic shop.public.orders\n",
        "gold.daily ← silver.orders\n",
        "  reads gold.daily, which `depends_on` does not name\n",
        "  does not read silver.orders, which `depends_on` names\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let drawn = project.run("lineage --format dot").await.exits(0).stdout;
    assert!(
        drawn.contains("\"gold.daily\" -> \"gold.report\" [style = dashed];"),
        "{drawn}"
    );
}

#[tokio::test]
async fn columns_are_followed_by_clickhouses_own_reading_of_the_select() {
    let project = project().await;
    project
        .sql("CREATE TABLE rates (rate Decimal(10, 2)) ENGINE = MergeTree ORDER BY rate")
        .await;
    project.run("migrate").await.exits(0);
    let found = project
        .run("lineage --columns --output json")
        .await
        .exits(0)
        .json();
    let sources = |job: usize, column: usize| {
        let column = &found["gold"][job]["columns"][column];
        assert_eq!(column["complete"], true, "{found}");
        let sources = column["sources"].as_array().unwrap().iter();
        let source = |source: &serde_json::Value| {
            format!(
                "{}.{}",
                source["from"].as_str().unwrap(),
                source["column"].as_str().unwrap()
            )
        };
        let sources: Vec<String> = sources.map(source).collect();
        format!("{} {}", column["name"].as_str().unwrap(), sources.join(" "))
    };
    assert_eq!(sources(0, 0), "day silver.orders.ordered_at");
    assert_eq!(sources(0, 1), "orders ");
    assert_eq!(
        sources(0, 2),
        "revenue default.rates.rate silver.orders.paid"
    );
    assert_eq!(sources(1, 1), "mean gold.daily.orders gold.daily.revenue");
    assert_eq!(
        found["gold"][0]["other_tables"],
        serde_json::json!(["default.rates"])
    );
    assert_eq!(
        found["gold"][1]["undeclared"],
        serde_json::json!(["gold.daily"])
    );
    // silver's own columns are fields of the topic
    assert_eq!(
        found["silver"][0]["columns"][1],
        serde_json::json!({"name": "paid", "source": "amount"})
    );

    project.sql("DROP TABLE gold.daily").await;
    let text = project
        .run("lineage report --columns")
        .await
        .exits(0)
        .stdout;
    assert!(text.contains("its columns are not known: "), "{text}");
    assert!(text.contains("does not read silver.orders"), "{text}");
}
