//! `bullion new connector NAME --from-postgres public.orders,public.items`, or `--from-mysql shop.orders`

use super::{Context, Outcome, Result, check_name, told, write_new};
use crate::catalog::{MysqlSource, Source, TableName};
use crate::config::Config;
use crate::connectors::{Server, template};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion new connector shop --from-postgres public.orders,public.items
  bullion new connector shop --from-mysql shop.orders,shop.items")]
pub struct Args {
    /// The connector's name; also its topic prefix
    name: String,
    /// The tables to capture, in the database of postgres.url
    #[arg(
        long,
        value_name = "SCHEMA.TABLE,…",
        value_delimiter = ',',
        required_unless_present = "from_mysql"
    )]
    from_postgres: Vec<String>,
    /// The tables to capture, in the MySQL or MariaDB of mysql.url
    #[arg(
        long,
        value_name = "DATABASE.TABLE,…",
        value_delimiter = ',',
        conflicts_with = "from_postgres"
    )]
    from_mysql: Vec<String>,
    /// Write over an existing connector
    #[arg(long)]
    force: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    check_name(&args.name)?;
    let config = context.config()?;
    let (text, option) = match args.from_mysql.is_empty() {
        true => (of_postgres(&args, &config).await?, "--from-postgres SCHEMA"),
        false => (of_mysql(&args, &config).await?, "--from-mysql DATABASE"),
    };
    let file = config
        .jobs
        .join("connectors")
        .join(format!("{}.json", args.name));
    let files = [(file.as_path(), text)];
    write_new(&files, args.force)?;
    let next = format!(
        "`bullion connectors apply {}`, then for each table `bullion new silver NAME {option}.TABLE`",
        args.name
    );
    Ok(told(&files, &next, &context))
}

async fn of_postgres(args: &Args, config: &Config) -> Result<String> {
    let source = Source::connect(&config.postgres).await?;
    let mut tables = Vec::new();
    for name in &args.from_postgres {
        tables.push(source.table(&TableName::parse(name)).await?.name);
    }
    let database = &source.database();
    Ok(template(&args.name, Server::Postgres { database }, &tables))
}

async fn of_mysql(args: &Args, config: &Config) -> Result<String> {
    let mut source = MysqlSource::connect(&config.mysql).await?;
    let mut tables = Vec::new();
    for name in &args.from_mysql {
        let name = source.table_name(name)?;
        tables.push(source.table(&name).await?.name);
    }
    let server = match source.binary_log().await?.is_mariadb {
        true => Server::MariaDb,
        false => Server::MySql,
    };
    Ok(template(&args.name, server, &tables))
}
