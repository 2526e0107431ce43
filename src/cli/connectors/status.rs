//! `bullion connectors status [NAME…]`

use serde_json::{Value, json};

use super::{Context, Outcome, Result, out};
use crate::connectors::{self, Connect};

#[derive(clap::Args)]
pub struct Args {
    /// Connectors to show [default: the declared ones and those that run]
    names: Vec<String>,
}

/// Exit code where a connector does not run.
const NOT_RUNNING: u8 = 1;

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let declared = connectors::load(&config.jobs, &args.names)?;
    let connect = Connect::new(&config.connect)?;
    let mut names: Vec<String> = declared.into_iter().map(|declared| declared.name).collect();
    if args.names.is_empty() {
        names.extend(connect.names().await?);
        names.sort();
        names.dedup();
    }
    let mut rows = Vec::new();
    let mut result = Vec::new();
    let mut all_run = true;
    for name in names {
        let status = connect.status(&name).await?;
        let state = match &status {
            None => "not registered".to_owned(),
            Some(status) => format!("{:?}", status.connector.state).to_lowercase(),
        };
        let tasks: Vec<String> = status
            .iter()
            .flat_map(|status| &status.tasks)
            .map(|task| format!("{:?}", task.state).to_lowercase())
            .collect();
        let worker = status
            .as_ref()
            .map_or("", |status| &status.connector.worker_id);
        let reason = status.as_ref().and_then(connectors::Status::failure);
        all_run &= status.as_ref().is_some_and(connectors::Status::is_running);
        result.push(json!({"name": name, "state": state, "tasks": tasks, "worker": worker, "reason": reason}));
        rows.push(vec![
            name,
            state,
            tasks.join(", "),
            worker.to_owned(),
            reason.unwrap_or_default(),
        ]);
    }
    if context.output == out::Format::Text {
        out::table(&["connector", "state", "tasks", "worker", "reason"], rows);
    }
    let mut outcome = Outcome::done(if all_run { "ok" } else { "failed" });
    if !all_run {
        outcome.exit = NOT_RUNNING;
    }
    Ok(outcome.with("connectors", Value::from(result)))
}
