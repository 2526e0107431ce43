//! `bullion new silver|gold|connector`: a commented declaration, ready to be used.

mod connector;
mod gold;
mod silver;

use std::path::Path;

use super::{Context, Outcome, out};
use crate::error::{Error, Kind, Result};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    layer: Layer,
}

#[derive(clap::Subcommand)]
enum Layer {
    /// Write jobs/silver/NAME.toml by looking at a table of PostgreSQL, MySQL or MariaDB
    Silver(silver::Args),
    /// Write jobs/gold/NAME.toml and NAME.sql
    Gold(gold::Args),
    /// Write jobs/connectors/NAME.json: a Debezium connector with settings that lose nothing
    Connector(connector::Args),
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    match args.layer {
        Layer::Silver(args) => silver::run(args, context).await,
        Layer::Gold(args) => gold::run(args, context),
        Layer::Connector(args) => connector::run(args, context).await,
    }
}

/// A name becomes a file and a ClickHouse table, so it holds letters, digits and `_` only.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    let message = format!("`{name}` cannot be a job's name");
    Err(Error::new(Kind::Usage, message)
        .advise("it becomes a file and a table: use letters, digits and `_`"))
}

/// All of them or, where one exists already, none.
fn write_new(files: &[(&Path, String)], force: bool) -> Result<()> {
    let exists = files.iter().find(|(path, _)| path.exists());
    if let Some((path, _)) = exists.filter(|_| !force) {
        let message = format!("{} exists already", path.display());
        return Err(Error::new(Kind::Usage, message)
            .advise("choose another name, or write over it: --force"));
    }
    for (path, text) in files {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(path, text))
            .map_err(|error| {
                Error::new(Kind::File, format!("cannot write {}", path.display())).because(error)
            })?;
    }
    Ok(())
}

fn told(files: &[(&Path, String)], next: &str, context: &Context) -> Outcome {
    let written: Vec<String> = files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    if context.output == out::Format::Text {
        for path in &written {
            out::line(format!("wrote {path}"));
        }
        out::line(format!("next: {next}"));
    }
    Outcome::done("done").with("written", written)
}
