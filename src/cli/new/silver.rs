//! `bullion new silver NAME --from-postgres public.orders`, or `--from-mysql shop.orders`

use super::{Context, Outcome, Result, check_name, told, write_new};
use crate::catalog::{MysqlSource, Source, Table, TableName, silver_job};
use crate::config::Config;
use crate::connectors::{self, Declared};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion new silver orders --from-postgres public.orders
  bullion new silver orders --from-mysql shop.orders --topic-prefix shop")]
pub struct Args {
    /// The job's name; the table is silver.NAME
    name: String,
    /// The table to look at, in the database of postgres.url
    #[arg(
        long,
        value_name = "SCHEMA.TABLE",
        required_unless_present = "from_mysql"
    )]
    from_postgres: Option<String>,
    /// The table to look at, in the MySQL or MariaDB of mysql.url
    #[arg(long, value_name = "DATABASE.TABLE", conflicts_with = "from_postgres")]
    from_mysql: Option<String>,
    /// Topic of its changes [default: PREFIX.SCHEMA.TABLE]
    #[arg(long)]
    topic: Option<String>,
    /// The connector's topic.prefix [default: that of the connector in jobs/connectors/ that captures the table, else
    /// the database's name]
    #[arg(long, value_name = "PREFIX", conflicts_with = "topic")]
    topic_prefix: Option<String>,
    /// Write over an existing job
    #[arg(long)]
    force: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    check_name(&args.name)?;
    let config = context.config()?;
    let (table, database) = look(&args, &config).await?;
    let declared = connectors::load(&config.jobs, &[])?;
    let topic = args.topic.unwrap_or_else(|| {
        let prefix = args
            .topic_prefix
            .or_else(|| prefix_of(&declared, &table.name))
            .unwrap_or(database);
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

/// The table, and the name of the database it is in.
async fn look(args: &Args, config: &Config) -> Result<(Table, String)> {
    if let Some(name) = &args.from_mysql {
        let mut source = MysqlSource::connect(&config.mysql).await?;
        let name = source.table_name(name)?;
        return Ok((source.table(&name).await?, name.schema));
    }
    let source = Source::connect(&config.postgres).await?;
    let name = TableName::parse(args.from_postgres.as_deref().unwrap_or_default());
    Ok((source.table(&name).await?, source.database()))
}

/// The prefix of the one connector that names the table; two of them are a choice that is not ours.
fn prefix_of(declared: &[Declared], table: &TableName) -> Option<String> {
    let table = table.to_string();
    let mut captures = declared.iter().filter(|connector| {
        let tables = connector.literal("table.include.list").unwrap_or_default();
        tables.split(',').any(|name| name.trim() == table)
    });
    let prefix = captures.next()?.literal("topic.prefix")?.to_owned();
    captures.next().is_none().then_some(prefix)
}

/// As Debezium names it: what Kafka does not allow in a topic becomes `_`.
fn topic_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::{Server, template};

    #[test]
    fn the_topic_is_that_of_the_one_connector_that_captures_the_table() {
        let orders = TableName::parse("public.orders");
        let folder = std::env::temp_dir().join(format!("bullion-prefix-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("connectors")).unwrap();
        let declare = |name: &str, table: &str| {
            let text = template(
                name,
                Server::Postgres { database: "shop" },
                &[TableName::parse(table)],
            );
            std::fs::write(folder.join(format!("connectors/{name}.json")), text).unwrap();
        };
        let prefix = || prefix_of(&connectors::load(&folder, &[]).unwrap(), &orders);
        declare("other", "public.orders_archive");
        assert_eq!(prefix(), None);
        declare("shop", "public.orders");
        assert_eq!(prefix().as_deref(), Some("shop"));
        declare("second", "public.orders");
        assert_eq!(prefix(), None, "a choice that is not ours");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
