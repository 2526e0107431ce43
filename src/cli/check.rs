//! `bullion check`: read everything, run nothing.

use super::{Context, Outcome, out};
use crate::error::Result;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, context: Context) -> Result<Outcome> {
    let (_, jobs) = context.declarations()?;
    let silver: Vec<_> = jobs.silver.iter().map(|job| job.name.clone()).collect();
    let gold: Vec<_> = jobs.gold.iter().map(|job| job.name.clone()).collect();
    if context.output == out::Format::Text {
        out::line(format!(
            "{} silver jobs: {}",
            silver.len(),
            silver.join(", ")
        ));
        out::line(format!("{} gold jobs: {}", gold.len(), gold.join(", ")));
        out::line("no faults found");
    }
    Ok(Outcome::done("ok")
        .with("silver", silver)
        .with("gold", gold))
}
