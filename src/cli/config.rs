//! `bullion config show`: every setting that has a value, and where that came from.

use serde_json::{Value, json};

use super::{Context, Outcome, out};
use crate::error::Result;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print every setting that has a value; secrets are masked
    Show {
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
}

pub fn run(args: Args, context: Context) -> Result<Outcome> {
    let Command::Show { origin } = args.command;
    let config = context.config()?;
    let shown = config.shown();
    if context.output == out::Format::Text {
        if origin {
            let rows = shown.iter().map(|setting| {
                vec![
                    setting.key.clone(),
                    setting.value.clone(),
                    setting.origin.to_string(),
                ]
            });
            out::table(&["setting", "value", "origin"], rows);
        } else {
            let rows = shown
                .iter()
                .map(|setting| vec![setting.key.clone(), setting.value.clone()]);
            out::table(&["setting", "value"], rows);
        }
    }
    let settings: Vec<Value> = shown
        .iter()
        .map(|setting| {
            json!({"key": setting.key, "value": setting.value, "origin": setting.origin.to_string()})
        })
        .collect();
    Ok(Outcome::done("ok").with("settings", settings))
}
