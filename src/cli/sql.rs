//! `bullion sql`: one statement to the configured ClickHouse, or to the demo's engine.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Context, Outcome, out};
use crate::config::{Config, Origin};
use crate::demo::folder::{self, Engine, Folder};
use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion sql \"SELECT count() FROM silver.orders\"
  bullion sql \"SELECT reason, count() FROM ops.dead_letters GROUP BY reason\" --format PrettyCompact

Where clickhouse.url is set, that one is asked; else the demo's engine is started for the answer.")]
pub struct Args {
    /// One statement, such as "SELECT * FROM silver.flights LIMIT 3"
    #[arg(value_name = "SQL")]
    sql: String,
    /// ClickHouse's name of an output format [default: PrettyCompact on a terminal, else TSV]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The demo's folder, even where another ClickHouse is configured [default: .bullion/demo]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let place = Place::of(&args, &context.config()?)?;
    let (clickhouse, engine) = place.open().await?;
    let answered = tokio::select! {
        answered = answer(&args, &context, &clickhouse) => answered,
        signal = context.shutdown.wait() => Err(signal.error()),
    };
    if let Some(engine) = engine {
        let stopped = engine.stop().await;
        // what the statement said matters more than how the engine stopped
        return answered.and_then(|outcome| stopped.map(|()| outcome));
    }
    answered
}

async fn answer(args: &Args, context: &Context, clickhouse: &ClickHouse) -> Result<Outcome> {
    match context.output {
        out::Format::Text => {
            stream(args, clickhouse).await?;
            Ok(Outcome::done("done"))
        }
        out::Format::Json => {
            let rows = rows(args, clickhouse).await?;
            Ok(Outcome::done("done").with("rows", rows))
        }
    }
}

/// Passes the answer on as it comes, until it ends or nobody reads any more.
async fn stream(args: &Args, clickhouse: &ClickHouse) -> Result<()> {
    let format = match &args.format {
        Some(format) => format.as_str(),
        None if std::io::stdout().is_terminal() => "PrettyCompact",
        None => "TSV",
    };
    let explain = |error| clickhouse.explain_whole(error);
    let query = clickhouse.client().query_raw(&args.sql);
    let mut bytes = query.fetch_bytes(format).map_err(explain)?;
    while let Some(chunk) = bytes.next().await.map_err(explain)? {
        if !out::bytes(&chunk) {
            return Ok(());
        }
    }
    // the last line of a format may have no newline: what is buffered goes out before the process ends
    out::bytes(b"");
    Ok(())
}

/// The whole answer as JSON objects, for `--output json`.
async fn rows(args: &Args, clickhouse: &ClickHouse) -> Result<Vec<Value>> {
    if args.format.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "--format and --output json exclude each other",
        ));
    }
    let query = clickhouse.client().query_raw(&args.sql);
    let query = query.with_setting("output_format_json_quote_64bit_integers", "0");
    let text = async { query.fetch_bytes("JSONEachRow")?.collect().await };
    let text = text
        .await
        .map_err(|error| clickhouse.explain_whole(error))?;
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let parsed: Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
    parsed.map_err(|error| {
        Error::new(Kind::Usage, "the answer is not in JSON")
            .because(error)
            .advise("leave FORMAT out of the statement, or --output json")
    })
}

/// Which ClickHouse is asked.
enum Place {
    Configured(Box<Config>),
    Demo(Folder),
}

impl Place {
    /// `--data`, else what the user configured, else the demo's folder.
    fn of(args: &Args, config: &Config) -> Result<Place> {
        let is_configured = config.shown().iter().any(|setting| {
            setting.key == "clickhouse.url" && !matches!(setting.origin, Origin::Default)
        });
        if args.data.is_none() && is_configured {
            return Ok(Place::Configured(Box::new(config.clone())));
        }
        let data = args.data.as_deref();
        let data = data.unwrap_or(Path::new(folder::DEFAULT));
        let missing = || {
            let message = format!("there is no demo in {}", data.display());
            Error::new(Kind::NotFound, message)
                .advise("run `bullion demo` first, or set BULLION_CLICKHOUSE_URL")
        };
        Folder::existing(data).map(Place::Demo).ok_or_else(missing)
    }

    /// The demo's engine is started when none runs, and is then ours to stop.
    async fn open(self) -> Result<(ClickHouse, Option<Engine>)> {
        match self {
            Place::Configured(config) => Ok((ClickHouse::new(&config.clickhouse)?, None)),
            Place::Demo(folder) => {
                let engine = folder.engine().await?;
                Ok((ClickHouse::new(&engine.address())?, Some(engine)))
            }
        }
    }
}
