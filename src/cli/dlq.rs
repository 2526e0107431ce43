//! `bullion dlq list|show|replay|discard`: the messages that could not become rows.

mod discard;
mod list;
mod replay;
mod show;

use chrono::{DateTime, SecondsFormat};

use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::Result;
use crate::sink::dead_letters::{Filter, Offsets, State};
use crate::window::instant;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Count the letters by job, reason and column, or list each; no values are shown
    List(list::Args),
    /// Show one letter; its key, value and headers only with --values
    Show(show::Args),
    /// Decode letters again under the jobs as they are now, and write what has become a row
    Replay(replay::Args),
    /// Hide letters that nobody wants; their bytes stay, unless --delete
    Discard(discard::Args),
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let shutdown = context.shutdown.clone();
    let work = async {
        match args.command {
            Command::List(args) => list::run(args, context).await,
            Command::Show(args) => show::run(args, context).await,
            Command::Replay(args) => replay::run(args, context).await,
            Command::Discard(args) => discard::run(args, context).await,
        }
    };
    // killed anywhere, every one of them can be run again
    tokio::select! {
        done = work => done,
        signal = shutdown.wait() => Err(signal.error()),
    }
}

/// Which letters; what is left out does not restrict.
#[derive(clap::Args)]
struct Chosen {
    /// Silver job
    #[arg(long, value_name = "JOB", help_heading = "Which letters")]
    job: Vec<String>,
    /// Reason, such as bad_json
    #[arg(long, value_name = "REASON", help_heading = "Which letters")]
    reason: Vec<String>,
    /// Source field that the reason is about
    #[arg(long, value_name = "FIELD", help_heading = "Which letters")]
    column: Vec<String>,
    #[arg(long, value_name = "TOPIC", help_heading = "Which letters")]
    topic: Vec<String>,
    #[arg(long, value_name = "NUMBER", help_heading = "Which letters")]
    partition: Vec<i32>,
    /// One offset, or a range without its end: 17, 10..20, 10.., ..20
    #[arg(long, value_name = "RANGE", help_heading = "Which letters")]
    offsets: Option<Offsets>,
    /// Messages from this date or instant
    #[arg(long, value_name = "TIME", help_heading = "Which letters")]
    from: Option<String>,
    /// Messages before this date or instant
    #[arg(long, value_name = "TIME", help_heading = "Which letters")]
    to: Option<String>,
    /// What became of them
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "STATE",
        help_heading = "Which letters"
    )]
    state: State,
    /// At most so many, in the order of topic, partition and offset
    #[arg(long, value_name = "N", help_heading = "Which letters")]
    limit: Option<u64>,
}

impl Chosen {
    fn filter(&self, config: &Config) -> Result<Filter> {
        let at = |option: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| instant(option, text, config.time_zone))
                .transpose()
        };
        Ok(Filter {
            jobs: self.job.clone(),
            reasons: self.reason.clone(),
            columns: self.column.clone(),
            topics: self.topic.clone(),
            partitions: self.partition.clone(),
            offsets: self.offsets,
            from: at("--from", &self.from)?,
            to: at("--to", &self.to)?,
            state: self.state,
        })
    }
}

fn tell(context: &Context, text: impl AsRef<str>) {
    if context.output == out::Format::Text {
        out::line(text);
    }
}

/// Milliseconds since 1970 as RFC 3339.
fn time(millis: Option<i64>) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
