//! `bullion replay JOB`: a topic read again, under the same versions.

use serde_json::{Value, json};

use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::rate::Rate;
use crate::replay::{From, Offsets, Plan, Range, Replay, Replayed, Until};
use crate::sink::clickhouse::ClickHouse;
use crate::window::instant;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion replay orders --from-start --dry-run           which offsets the topic still has
  bullion replay orders --from-time 2024-03-01           after rows were lost in ClickHouse
  bullion replay orders --from-offset 0:1200,1:980 --until-offset 0:1300,1:1000

Rows keep their versions: what silver has stays as it is, newer rows of a key win, and nothing is committed in Kafka.
Harmless while ingest runs, and as often as you like.")]
pub struct Args {
    /// Silver job
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    begin: Begin,
    #[command(flatten)]
    end: End,
    /// Print the plan and read nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Begin {
    /// From messages of this date or instant
    #[arg(long, value_name = "TIME")]
    from_time: Option<String>,
    /// From these offsets, and only these partitions
    #[arg(long, value_name = "P:O[,P:O…]", value_parser = offsets)]
    from_offset: Option<Offsets>,
    /// From the first message that each partition still has
    #[arg(long)]
    from_start: bool,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct End {
    /// Up to messages of this date or instant, not included [default: the ends that the topic has now]
    #[arg(long, value_name = "TIME")]
    until_time: Option<String>,
    /// Up to these offsets, not included
    #[arg(long, value_name = "P:O[,P:O…]", value_parser = offsets)]
    until_offset: Option<Offsets>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let Some(job) = jobs.select_silver(std::slice::from_ref(&args.job))?.pop() else {
        return Ok(Outcome::done("noop"));
    };
    let (from, until) = asked(&args, &config)?;
    let shutdown = context.shutdown.clone();
    let runtime = tokio::runtime::Handle::current();
    let terminal = out::is_terminal();
    let text = context.output == out::Format::Text;
    // librdkafka blocks, so it has a thread; nobody waits for it after a signal
    let working = tokio::task::spawn_blocking(move || {
        let clickhouse = runtime.block_on(ClickHouse::connect(&config.clickhouse))?;
        let replay = runtime.block_on(Replay::prepare(&config, &clickhouse, job, &from, &until))?;
        let plan = replay.plan.clone();
        if text {
            show(&args.job, &plan);
        }
        if args.dry_run || plan.messages() == 0 {
            return Ok((plan, None));
        }
        let progress = Progress::new(&args.job, "messages", plan.messages(), terminal);
        let replayed = replay.run(
            &config,
            &clickhouse,
            &progress,
            &Rate::unlimited(),
            &shutdown,
        )?;
        drop(progress);
        if text {
            tell(&args.job, &replayed);
        }
        Ok((plan, Some(replayed)))
    });
    let (plan, replayed) = tokio::select! {
        done = working => done.map_err(Error::panicked)??,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    let status = match (&replayed, plan.messages()) {
        (_, 0) => "noop",
        (None, _) => "planned",
        (Some(_), _) => "done",
    };
    let ranges: Vec<Value> = plan.ranges.iter().map(range).collect();
    let outcome = Outcome::done(status).with("ranges", ranges);
    Ok(match replayed {
        None => outcome,
        Some(replayed) => outcome
            .with("messages", replayed.messages)
            .with("rows", replayed.rows)
            .with("written", replayed.written)
            .with("skips", json!(replayed.skips))
            .with("rejects", json!(replayed.rejects)),
    })
}

fn asked(args: &Args, config: &Config) -> Result<(From, Until)> {
    let millis = |option: &str, text: &str| {
        instant(option, text, config.time_zone).map(|at| at.timestamp_millis())
    };
    let from = match (&args.begin.from_time, &args.begin.from_offset) {
        (Some(text), _) => From::Time(millis("--from-time", text)?),
        (None, Some(offsets)) => From::Offsets(offsets.clone()),
        (None, None) => From::Start,
    };
    let until = match (&args.end.until_time, &args.end.until_offset) {
        (Some(text), _) => Until::Time(millis("--until-time", text)?),
        (None, Some(offsets)) => Until::Offsets(offsets.clone()),
        (None, None) => Until::Ends,
    };
    Ok((from, until))
}

fn show(job: &str, plan: &Plan) {
    let header = [
        "partition",
        "from",
        "to",
        "messages at most",
        "topic begins at",
    ];
    let rows = plan.ranges.iter().map(|range| {
        [
            i64::from(range.partition),
            range.from,
            range.to,
            range.to - range.from,
            range.low,
        ]
        .map(|number| number.to_string())
        .to_vec()
    });
    out::table(&header, rows);
    let shortened = plan
        .ranges
        .iter()
        .filter(|range| range.from == range.low && range.low > 0);
    if shortened.count() > 0 {
        out::line("messages below the topic's begin are gone, retention has passed them");
    }
    out::line(format!("{job}: {} messages at most", plan.messages()));
}

fn tell(job: &str, replayed: &Replayed) {
    let skipped: u64 = replayed.skips.values().sum();
    let rejected: u64 = replayed.rejects.values().sum();
    out::line(format!(
        "{job}: {} messages, {} rows, {skipped} skipped, {rejected} rejected",
        replayed.messages, replayed.rows
    ));
    for (reason, count) in &replayed.rejects {
        out::line(format!(
            "  rejected {count} {reason}: see `bullion dlq list`"
        ));
    }
}

fn range(range: &Range) -> Value {
    json!({"partition": range.partition, "from": range.from, "to": range.to, "low": range.low})
}

/// `0:1200,1:980`
fn offsets(text: &str) -> Result<Offsets, String> {
    let mut offsets = Offsets::new();
    for pair in text.split(',') {
        let read = pair.split_once(':').and_then(|(partition, offset)| {
            Some((partition.parse::<i32>().ok()?, offset.parse::<i64>().ok()?))
        });
        match read {
            Some((partition, offset)) if partition >= 0 && offset >= 0 => {
                if offsets.insert(partition, offset).is_some() {
                    return Err(format!("partition {partition} is named twice"));
                }
            }
            _ => {
                return Err(format!(
                    "`{pair}` is no partition and offset: write 0:1200,1:980"
                ));
            }
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_pairs_of_partition_and_offset() {
        assert_eq!(
            offsets("0:1200,1:980"),
            Ok(Offsets::from([(0, 1200), (1, 980)]))
        );
        for wrong in ["", "0", "0:", "a:1", "0:-1", "0:1,0:2", "0:1,"] {
            assert!(offsets(wrong).is_err(), "{wrong}");
        }
    }
}
