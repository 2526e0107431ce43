//! `bullion connectors delete NAME…`
//!
//! A slot that nobody reads makes PostgreSQL keep its log until the disk is full; a slot that is dropped and made
//! again under remembered offsets skips what changed in between. So slot, publication and offsets go together or stay
//! together.

use std::io::{IsTerminal, Write};

use super::{Context, Outcome, Result, out, tell};
use crate::catalog::Source;
use crate::connectors::{self, Connect, PLACEHOLDER};
use crate::error::{Error, Kind};

#[derive(clap::Args)]
#[command(after_help = "\
A slot that nobody reads keeps PostgreSQL's log until the disk is full. At a terminal the command asks.")]
pub struct Args {
    /// Connectors to delete
    #[arg(required = true)]
    names: Vec<String>,
    /// Also drop the slot and the publication in the source, and the offsets
    #[arg(long, conflicts_with = "keep_slot")]
    drop_slot: bool,
    /// Leave slot and publication, and do not ask
    #[arg(long)]
    keep_slot: bool,
}

/// The server's side of a connector.
struct Left {
    database: Option<String>,
    slot: String,
    publication: String,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let connect = Connect::new(&config.connect)?;
    let mut deleted = Vec::new();
    for name in &args.names {
        let registered = connect.config(name).await?;
        let left = left_behind(&config.jobs, name, registered.as_ref())?;
        let drop = match (&left, args.drop_slot, args.keep_slot) {
            (Some(_), true, _) => true,
            (Some(left), false, false) => ask(name, left),
            _ => false,
        };
        // the source is reached before anything is taken away
        let source = match &left {
            Some(left) if drop => {
                Some(Source::connect_to(&config.postgres, left.database.as_deref()).await?)
            }
            _ => None,
        };
        if registered.is_some() {
            if source.is_some() {
                connect.stop(name).await?;
                connect.forget_offsets(name).await?;
            }
            connect.delete(name).await?;
        }
        let what = if registered.is_some() {
            "deleted"
        } else {
            "was not registered"
        };
        tell(&context, format!("{name}: {what}"));
        match (source, left) {
            (Some(source), Some(left)) => {
                if registered.is_none() {
                    out::complain(format!(
                        "warning: {name}: Kafka Connect may remember offsets of it; make it again under another name"
                    ));
                }
                let slot = source.drop_slot(&left.slot).await?;
                let publication = source.drop_publication(&left.publication).await?;
                let gone = |dropped: bool| if dropped { "dropped" } else { "was not there" };
                tell(
                    &context,
                    format!("{name}: slot {} {}", left.slot, gone(slot)),
                );
                tell(
                    &context,
                    format!(
                        "{name}: publication {} {}",
                        left.publication,
                        gone(publication)
                    ),
                );
            }
            (None, Some(left)) => tell(
                &context,
                format!(
                    "{name}: slot {0} stays and keeps PostgreSQL's log until its disk is full; unless the connector comes \
back: `SELECT pg_drop_replication_slot('{0}'); DROP PUBLICATION {1};`",
                    left.slot, left.publication
                ),
            ),
            _ => {}
        }
        deleted.push(name.clone());
    }
    Ok(Outcome::done("done").with("deleted", deleted))
}

/// From what runs, else from what is declared.
fn left_behind(
    jobs: &std::path::Path,
    name: &str,
    registered: Option<&std::collections::BTreeMap<String, String>>,
) -> Result<Option<Left>> {
    let config = match registered {
        Some(config) => config.clone(),
        None => match connectors::load(jobs, &[name.to_owned()])?.pop() {
            Some(declared) => declared.config,
            None => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("there is no connector `{name}`"),
                ));
            }
        },
    };
    let get = |key: &str| config.get(key).cloned();
    if get("connector.class").as_deref() != Some(connectors::POSTGRES) {
        return Ok(None);
    }
    let (Some(slot), Some(publication)) = (get("slot.name"), get("publication.name")) else {
        return Ok(None);
    };
    Ok(Some(Left {
        database: get("database.dbname").filter(|name| !name.contains(PLACEHOLDER)),
        slot,
        publication,
    }))
}

/// Only a person at a terminal is asked.
fn ask(name: &str, left: &Left) -> bool {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return false;
    }
    let question = format!(
        "{name}: drop slot {} and publication {} too? A slot nobody reads fills the source's disk. [y/N] ",
        left.slot, left.publication
    );
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(question.as_bytes());
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
