//! `bullion lineage`: what each gold table comes from, by jobs and by columns.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::selection::Selection;
use super::{Context, Outcome, out};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::job::{Dependency, GoldJob, Jobs, SilverJob};
use crate::lineage::draw::{self, Edge};
use crate::lineage::{self, Given, Lineage, Origin};
use crate::sink::clickhouse::ClickHouse;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion lineage                                   the graph, and what depends_on does not say
  bullion lineage --select orders_by_day --columns  where each of its columns comes from
  bullion lineage --format mermaid

Reads files only; --columns asks ClickHouse, whose tables have to stand.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Where each column comes from, by ClickHouse's own reading of the SELECT
    #[arg(long)]
    columns: bool,
    /// How the graph is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    /// for Graphviz
    Dot,
    Mermaid,
}

/// One gold job and what was found of it; the error where ClickHouse was asked and could not tell.
struct Found<'j> {
    job: &'j GoldJob,
    lineage: Lineage,
    unknown: Option<Error>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, declared) = context.declarations()?;
    let jobs = args.selection.gold(&declared)?;
    let clickhouse = match args.columns {
        true => Some(ClickHouse::connect(&config.clickhouse).await?),
        false => None,
    };
    let mut found = Vec::new();
    for job in &jobs {
        found.push(find(clickhouse.as_ref(), &config, &declared, job).await);
    }
    let silver = silver(&declared, &found);
    if context.output == out::Format::Text {
        match args.format {
            Format::Text => show(&config, &declared, &found, &silver),
            Format::Dot => out::line(draw::dot(&edges(&found, &silver))),
            Format::Mermaid => out::line(draw::mermaid(&edges(&found, &silver))),
        }
    }
    let gold = found
        .iter()
        .map(|found| describe(&config, &declared, found));
    Ok(Outcome::done("ok")
        .with("gold", gold.collect::<Vec<_>>())
        .with(
            "silver",
            silver.iter().map(|job| source(job)).collect::<Vec<_>>(),
        ))
}

async fn find<'j>(
    clickhouse: Option<&ClickHouse>,
    config: &Config,
    declared: &Jobs,
    job: &'j GoldJob,
) -> Found<'j> {
    let by_names = || lineage::declared(job, declared, &config.clickhouse);
    let (lineage, unknown) = match clickhouse {
        None => (by_names(), None),
        Some(clickhouse) => {
            match lineage::resolved(clickhouse, job, declared, &config.clickhouse).await {
                Ok(lineage) => (lineage, None),
                Err(error) => (by_names(), Some(error)),
            }
        }
    };
    Found {
        job,
        lineage,
        unknown,
    }
}

/// What a job depends on, said or not.
fn inputs(found: &Found<'_>) -> BTreeSet<Dependency> {
    let declared = found.job.depends_on.iter();
    declared.chain(&found.lineage.reads.jobs).cloned().collect()
}

/// The silver jobs that any of them depends on.
fn silver<'j>(declared: &'j Jobs, found: &[Found<'_>]) -> Vec<&'j SilverJob> {
    let inputs: BTreeSet<Dependency> = found.iter().flat_map(inputs).collect();
    let is_input = |job: &&SilverJob| inputs.contains(&Dependency::Silver(job.name.clone()));
    declared.silver.iter().filter(is_input).collect()
}

fn edges(found: &[Found<'_>], silver: &[&SilverJob]) -> Vec<Edge> {
    let topic = |job: &&SilverJob| Edge {
        from: format!("topic {}", job.topic),
        to: format!("silver.{}", job.name),
        is_declared: true,
    };
    let of_gold = |found: &Found<'_>| {
        let to = format!("gold.{}", found.job.name);
        let undeclared = &found.lineage.reads.undeclared;
        let inputs = inputs(found).into_iter();
        let edges = inputs.map(|input| Edge {
            from: input.to_string(),
            to: to.clone(),
            is_declared: !undeclared.contains(&input),
        });
        edges.collect::<Vec<_>>()
    };
    silver
        .iter()
        .map(topic)
        .chain(found.iter().flat_map(of_gold))
        .collect()
}

fn show(config: &Config, declared: &Jobs, found: &[Found<'_>], silver: &[&SilverJob]) {
    for job in silver {
        out::line(format!("silver.{} ← topic {}", job.name, job.topic));
    }
    for found in found {
        let Found {
            job,
            lineage,
            unknown,
        } = found;
        let inputs = inputs(found).into_iter().map(|input| input.to_string());
        let inputs: Vec<String> = inputs.chain(lineage.others.iter().cloned()).collect();
        let inputs = match inputs.is_empty() {
            true => "nothing that is known".to_owned(),
            false => inputs.join(", "),
        };
        out::line(format!("gold.{} ← {inputs}", job.name));
        for column in lineage.columns.iter().flatten() {
            let from = sources(config, declared, column);
            out::line(format!("    {} ← {from}", column.name));
        }
        for read in &lineage.reads.undeclared {
            out::line(format!("  reads {read}, which `depends_on` does not name"));
        }
        for unread in &lineage.reads.unread {
            out::line(format!(
                "  does not read {unread}, which `depends_on` names"
            ));
        }
        if let Some(error) = unknown {
            out::line(format!("  its columns are not known: {error}"));
        }
    }
}

fn sources(config: &Config, declared: &Jobs, column: &Given) -> String {
    let mut sources: Vec<String> = column
        .origins
        .iter()
        .map(|origin| format!("{}.{}", place(config, declared, origin), origin.column))
        .collect();
    if column.is_partial {
        sources.push("not known".to_owned());
    } else if sources.is_empty() {
        sources.push("no column".to_owned());
    }
    sources.join(", ")
}

/// The job that a column's table is of, else the table.
fn place(config: &Config, declared: &Jobs, origin: &Origin) -> String {
    let job = lineage::job_of(declared, &config.clickhouse, &origin.table);
    job.map_or_else(|| origin.table.clone(), |job| job.to_string())
}

fn describe(config: &Config, declared: &Jobs, found: &Found<'_>) -> Value {
    let Found {
        job,
        lineage,
        unknown,
    } = found;
    let names = |jobs: &mut dyn Iterator<Item = &Dependency>| -> Vec<String> {
        jobs.map(ToString::to_string).collect()
    };
    let columns = lineage.columns.as_ref().map(|columns| {
        let column = |column: &Given| {
            let origin = |origin: &Origin| {
                json!({"from": place(config, declared, origin), "table": origin.table, "column": origin.column})
            };
            json!({
                "name": column.name,
                "sources": column.origins.iter().map(origin).collect::<Vec<_>>(),
                "complete": !column.is_partial,
            })
        };
        columns.iter().map(column).collect::<Vec<_>>()
    });
    json!({
        "job": format!("gold.{}", job.name),
        "depends_on": names(&mut job.depends_on.iter()),
        "reads": names(&mut lineage.reads.jobs.iter()),
        "other_tables": lineage.others,
        "undeclared": names(&mut lineage.reads.undeclared.iter()),
        "unread": names(&mut lineage.reads.unread.iter()),
        "columns": columns,
        "not_known": unknown.as_ref().map(ToString::to_string),
    })
}

/// A silver job's columns are fields of its topic, as its file says.
fn source(job: &SilverJob) -> Value {
    let column =
        |column: &crate::job::Column| json!({"name": column.name, "source": column.source});
    json!({
        "job": format!("silver.{}", job.name),
        "topic": job.topic,
        "columns": job.columns.iter().map(column).collect::<Vec<_>>(),
    })
}
