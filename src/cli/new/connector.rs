//! `bullion new connector NAME --from-postgres public.orders,public.items`

use super::{Context, Outcome, Result, check_name, told, write_new};
use crate::catalog::{Source, TableName};
use crate::connectors::template;

#[derive(clap::Args)]
#[command(after_help = "\
Example: bullion new connector shop --from-postgres public.orders,public.items")]
pub struct Args {
    /// The connector's name; also its topic prefix
    name: String,
    /// The tables to capture, in the database of postgres.url
    #[arg(
        long,
        value_name = "SCHEMA.TABLE,…",
        value_delimiter = ',',
        required = true
    )]
    from_postgres: Vec<String>,
    /// Write over an existing connector
    #[arg(long)]
    force: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    check_name(&args.name)?;
    let config = context.config()?;
    let source = Source::connect(&config.postgres).await?;
    let mut tables = Vec::new();
    for name in &args.from_postgres {
        tables.push(source.table(&TableName::parse(name)).await?.name);
    }
    let file = config
        .jobs
        .join("connectors")
        .join(format!("{}.json", args.name));
    let text = template(&args.name, &source.database(), &tables);
    let files = [(file.as_path(), text)];
    write_new(&files, args.force)?;
    let next = format!(
        "`bullion connectors apply {0}`, then for each table `bullion new silver NAME --from-postgres SCHEMA.TABLE`",
        args.name
    );
    Ok(told(&files, &next, &context))
}
