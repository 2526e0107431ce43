//! `bullion new silver NAME --from-postgres public.orders`

use super::{Context, Outcome, Result, check_name, told, write_new};
use crate::catalog::{Source, TableName, silver_job};

#[derive(clap::Args)]
pub struct Args {
    /// The job's name; the table is silver.NAME
    name: String,
    /// The table to look at, in the database of postgres.url
    #[arg(long, value_name = "SCHEMA.TABLE")]
    from_postgres: String,
    /// Topic of its changes [default: PREFIX.SCHEMA.TABLE]
    #[arg(long)]
    topic: Option<String>,
    /// The connector's topic.prefix [default: the database's name]
    #[arg(long, value_name = "PREFIX", conflicts_with = "topic")]
    topic_prefix: Option<String>,
    /// Write over an existing job
    #[arg(long)]
    force: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    check_name(&args.name)?;
    let config = context.config()?;
    let source = Source::connect(&config.postgres).await?;
    let table = source.table(&TableName::parse(&args.from_postgres)).await?;
    let topic = args.topic.unwrap_or_else(|| {
        let prefix = args.topic_prefix.unwrap_or_else(|| source.database());
        topic_name(&format!("{prefix}.{}", table.name))
    });
    let file = config
        .jobs
        .join("silver")
        .join(format!("{}.toml", args.name));
    let files = [(file.as_path(), silver_job(&table, &topic)?)];
    write_new(&files, args.force)?;
    let next = format!(
        "read its comments, then `bullion check`, `bullion migrate`, `bullion ingest {}`",
        args.name
    );
    Ok(told(&files, &next, &context).with("topic", topic))
}

/// As Debezium names it: what Kafka does not allow in a topic becomes `_`.
fn topic_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}
