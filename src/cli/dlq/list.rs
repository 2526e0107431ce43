//! `bullion dlq list`: how many, of which job, and why.

use serde_json::json;

use super::{Chosen, Context, Outcome, Result, out, time};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, Group, Place};

/// Letters that `--each` lists where no limit is given.
const EACH_LIMIT: u64 = 100;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion dlq list                                          how many wait, by job, reason and column
  bullion dlq list --job orders --from 2024-03-01 --each    each letter of one job since then
  bullion dlq list --state discarded                        those that were hidden")]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// List each letter [default limit: 100]
    #[arg(long)]
    each: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let filter = args.chosen.filter(&config)?;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let ops = &config.clickhouse.ops;
    let mut groups = dead_letters::groups(&clickhouse, ops, &filter).await?;
    let letters: u64 = groups.iter().map(|group| group.letters).sum();
    let outcome = Outcome::done(if letters == 0 { "noop" } else { "done" });
    if args.each {
        let limit = args.chosen.limit.unwrap_or(EACH_LIMIT);
        let places = dead_letters::places(&clickhouse, ops, &filter, Some(limit)).await?;
        if context.output == out::Format::Text {
            show_places(&places, letters);
        }
        let each: Vec<_> = places.iter().map(place).collect();
        return Ok(outcome.with("letters", letters).with("each", each));
    }
    if let Some(limit) = args.chosen.limit {
        groups.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    if context.output == out::Format::Text {
        show_groups(&groups, letters);
    }
    let groups: Vec<_> = groups.iter().map(group).collect();
    Ok(outcome.with("letters", letters).with("groups", groups))
}

fn show_groups(groups: &[Group], letters: u64) {
    if letters == 0 {
        out::line("no dead letters");
        return;
    }
    let header = [
        "job", "topic", "reason", "column", "letters", "oldest", "newest",
    ];
    let rows = groups.iter().map(|group| {
        vec![
            group.job.clone(),
            group.topic.clone(),
            group.reason.clone(),
            group.column.clone(),
            group.letters.to_string(),
            time(group.oldest).unwrap_or_default(),
            time(group.newest).unwrap_or_default(),
        ]
    });
    out::table(&header, rows);
    out::line(format!(
        "{letters} dead letters; `bullion dlq list --each` lists them, `bullion dlq replay` tries them again"
    ));
}

fn show_places(places: &[Place], letters: u64) {
    if letters == 0 {
        out::line("no dead letters");
        return;
    }
    let header = [
        "job",
        "topic/partition/offset",
        "reason",
        "column",
        "bytes",
        "time",
    ];
    let rows = places.iter().map(|place| {
        vec![
            place.job.clone(),
            format!("{}/{}/{}", place.topic, place.partition, place.offset),
            place.reason.clone(),
            place.column.clone(),
            place.bytes.to_string(),
            time(place.message_time).unwrap_or_default(),
        ]
    });
    out::table(&header, rows);
    out::line(format!("{} of {letters} dead letters", places.len()));
}

fn group(group: &Group) -> serde_json::Value {
    json!({
        "job": group.job, "topic": group.topic, "reason": group.reason, "column": group.column,
        "letters": group.letters, "oldest": time(group.oldest), "newest": time(group.newest),
    })
}

fn place(place: &Place) -> serde_json::Value {
    json!({
        "job": place.job, "topic": place.topic, "partition": place.partition, "offset": place.offset,
        "reason": place.reason, "column": place.column, "bytes": place.bytes, "time": time(place.message_time),
    })
}
