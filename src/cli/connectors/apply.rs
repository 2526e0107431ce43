//! `bullion connectors apply [NAME…]`

use std::time::Duration;

use super::{Context, Outcome, Result, out, tell};
use crate::catalog::{MysqlSource, Source, System, refused};
use crate::config::Config;
use crate::connectors::{self, Connect, Declared};
use crate::error::{Error, Kind};
use crate::fault::Faults;

#[derive(clap::Args)]
pub struct Args {
    /// Connectors to apply [default: all of jobs/connectors/]
    names: Vec<String>,
    /// Seconds to wait until every task runs
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Check and validate only
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let declared = connectors::load(&config.jobs, &[])?;
    let faults = Faults::default();
    let warnings = connectors::check(&declared, &faults);
    faults.into_result()?;
    let chosen = connectors::load(&config.jobs, &args.names)?;
    let connect = Connect::new(&config.connect)?;
    let registered = connect.names().await?;
    for warning in &warnings {
        out::complain(format!("warning: {warning}"));
    }
    for connector in &chosen {
        let known = registered.contains(&connector.name);
        look_at_source(&config, connector, known).await?;
    }
    validate(&connect, &chosen).await?;
    let mut applied = Vec::new();
    for connector in chosen.iter().filter(|_| !args.dry_run) {
        let name = &connector.name;
        let done = apply(&connect, connector, Duration::from_secs(args.wait)).await?;
        tell(&context, format!("{name}: {done}, its tasks run"));
        applied.push(name.clone());
    }
    if args.dry_run {
        tell(
            &context,
            format!("{} connectors would be accepted", chosen.len()),
        );
    }
    let status = match (args.dry_run, applied.is_empty()) {
        (true, _) => "planned",
        (false, true) => "noop",
        (false, false) => "done",
    };
    Ok(Outcome::done(status)
        .with("applied", applied)
        .with("warnings", warnings))
}

/// Where postgres.url or mysql.url leads to the connector's own server.
async fn look_at_source(config: &Config, connector: &Declared, registered: bool) -> Result<()> {
    let Some(system) = connector.system() else {
        return Ok(());
    };
    if system == System::Mysql {
        return look_at_mysql(config, connector).await;
    }
    if config.postgres.url.is_none() {
        return Ok(());
    }
    let database = connector.literal("database.dbname");
    let source = Source::connect_to(&config.postgres, database).await?;
    if is_elsewhere(connector, &source.place) {
        return Ok(());
    }
    for warning in connectors::preflight(&source, connector, registered).await? {
        out::complain(format!("warning: {}: {warning}", connector.name));
    }
    Ok(())
}

async fn look_at_mysql(config: &Config, connector: &Declared) -> Result<()> {
    if config.mysql.url.is_none() {
        return Ok(());
    }
    let mut source = MysqlSource::connect(&config.mysql).await?;
    match is_elsewhere(connector, &source.place) {
        true => Ok(()),
        false => connectors::of_mysql(&mut source, connector).await,
    }
}

fn is_elsewhere(connector: &Declared, place: &str) -> bool {
    let host = connector.literal("database.hostname");
    let elsewhere = host.is_some_and(|host| !place.starts_with(&format!("{host}:")));
    if elsewhere {
        tracing::debug!(
            connector = connector.name,
            place,
            "another server: not looked at"
        );
    }
    elsewhere
}

/// Every connector is validated before the first is registered, and every error is told.
async fn validate(connect: &Connect, chosen: &[Declared]) -> Result<()> {
    let faults = Faults::default();
    let mut answered = None;
    for connector in chosen {
        for (setting, error) in connect.validate(&connector.name, &connector.config).await? {
            answered = answered.or_else(|| refused(&error));
            faults.add(&connector.file, 0, format!("`{setting}`: {}", error.trim()));
        }
    }
    faults.into_result().map_err(|error| match answered {
        Some((kind, advice)) => Error::new(kind, error.message()).advise(advice),
        None if error.message().contains("onnection refused") => {
            Error::new(Kind::Unreachable, error.message())
                .advise("Kafka Connect cannot reach the source: check database.hostname and database.port as seen from there")
        }
        None => error,
    })
}

async fn apply(
    connect: &Connect,
    connector: &Declared,
    patience: Duration,
) -> Result<&'static str> {
    let name = &connector.name;
    let before = connect.config(name).await?;
    let done = match before {
        None => "created",
        Some(mut before) => {
            before.remove("name");
            match before == connector.config {
                true => "unchanged",
                false => "changed",
            }
        }
    };
    if done != "unchanged" {
        connect.put(name, &connector.config).await?;
    }
    if done != "created"
        && let Some(status) = connect.status(name).await?
    {
        connect.revive(name, &status).await?;
    }
    connect.await_running(name, patience).await?;
    Ok(done)
}
