//! `bullion check`: read everything, run nothing.

use super::{Context, Outcome, out};
use crate::advice;
use crate::error::Result;

#[derive(clap::Args)]
#[command(
    after_help = "Reads files only: nothing is connected to. Exit code 2 where a fault was found, each with its file and line. Advice is no fault."
)]
pub struct Args {}

pub fn run(_: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let advice = advice::of(&jobs, &config.clickhouse);
    let silver: Vec<_> = jobs.silver.iter().map(|job| job.name.clone()).collect();
    let gold: Vec<_> = jobs.gold.iter().map(|job| job.name.clone()).collect();
    if context.output == out::Format::Text {
        out::line(format!("silver jobs: {}", listed(&silver)));
        out::line(format!("gold jobs: {}", listed(&gold)));
        out::line("no faults found");
        advice
            .iter()
            .for_each(|advice| out::line(format!("advice: {advice}")));
    }
    Ok(Outcome::done("ok")
        .with("silver", silver)
        .with("gold", gold)
        .with("advice", advice))
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::from("none"),
        names => names.join(", "),
    }
}
