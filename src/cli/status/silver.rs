//! The silver jobs of `bullion status`: how far they are in the time of their source and in their topic, and what waits
//! for somebody.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{count, instant};
use crate::cli::out;
use crate::config::Config;
use crate::error::Result;
use crate::freshness;
use crate::ingest::lag::{Lag, lags};
use crate::job::SilverJob;
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, Filter};

pub(super) struct Looked<'a> {
    job: &'a SilverJob,
    /// what its source wrote until then has been read; none where a partition was never read
    complete_to: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    /// messages of its topic that are not in silver yet
    lag: Lag,
    dead_letters: u64,
}

pub(super) async fn look<'a>(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &[&'a SilverJob],
    now: DateTime<Utc>,
) -> Result<Vec<Looked<'a>>> {
    let ops = &config.clickhouse.ops;
    let mut looked = Vec::new();
    if jobs.is_empty() {
        return Ok(looked);
    }
    let lags = lags(clickhouse, config, jobs).await?;
    let letters = dead_letters::groups(clickhouse, ops, &Filter::default()).await?;
    for (job, lag) in jobs.iter().zip(lags) {
        let own = letters.iter().filter(|group| group.job == job.name);
        looked.push(Looked {
            job,
            lag,
            complete_to: freshness::watermark(clickhouse, config, &job.topic).await?,
            now,
            dead_letters: own.map(|group| group.letters).sum(),
        });
    }
    Ok(looked)
}

impl Looked<'_> {
    /// A source's clock may be ahead of ClickHouse's.
    fn age(&self) -> Option<TimeDelta> {
        let complete_to = self.complete_to?;
        Some((self.now - complete_to).max(TimeDelta::zero()))
    }
}

pub(super) fn show(jobs: &[Looked<'_>]) {
    let rows = jobs.iter().map(|looked| {
        vec![
            looked.job.name.clone(),
            looked.job.topic.clone(),
            looked
                .complete_to
                .map_or_else(|| "not read yet".to_owned(), instant),
            looked.age().map_or_else(String::new, ago),
            match &looked.lag {
                Ok(lag) => count(usize::try_from(*lag).unwrap_or(0)),
                Err(_) => "not known".to_owned(),
            },
            count(usize::try_from(looked.dead_letters).unwrap_or(usize::MAX)),
        ]
    });
    if !jobs.is_empty() {
        out::table(
            &[
                "silver",
                "topic",
                "read up to",
                "ago",
                "lag",
                "dead letters",
            ],
            rows,
        );
        let unknown = jobs.iter().filter_map(|looked| looked.lag.as_ref().err());
        let reasons: BTreeSet<String> = unknown.map(ToString::to_string).collect();
        for reason in reasons {
            out::line(format!("lag is not known: {reason}"));
        }
    }
}

fn ago(age: TimeDelta) -> String {
    let seconds = age.num_seconds();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn described(looked: &Looked<'_>) -> Value {
    json!({
        "job": looked.job.name, "topic": looked.job.topic, "complete_to": looked.complete_to.map(instant),
        "age_seconds": looked.age().map(|age| age.num_seconds()), "lag": looked.lag.as_ref().ok(),
        "lag_unknown": looked.lag.as_ref().err().map(ToString::to_string), "dead_letters": looked.dead_letters,
    })
}
