//! Debezium connectors: their declarations, the rules that keep them from losing data, and Kafka Connect itself.

mod preflight;
mod rest;
mod rules;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use preflight::{of_mysql, preflight};
pub use rest::{Connect, State, Status, Task};
pub use rules::{Verdict, check};
pub use template::{Server, template};

use crate::catalog::System;
use crate::error::{Error, Kind, Result};
use crate::fault::{Faults, nearest};

/// The connectors whose rules are known.
pub const POSTGRES: &str = "io.debezium.connector.postgresql.PostgresConnector";
pub const MARIADB: &str = "io.debezium.connector.mariadb.MariaDbConnector";
pub const MYSQL: &str = "io.debezium.connector.mysql.MySqlConnector";
/// A value that Kafka Connect resolves by itself: `${env:BULLION_POSTGRES_PASSWORD}`.
pub const PLACEHOLDER: &str = "${";

/// One `jobs/connectors/<name>.json`: the body of `PUT /connectors/<name>/config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    pub file: PathBuf,
    text: String,
    pub config: BTreeMap<String, String>,
}

impl Declared {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    /// The value, unless Kafka Connect is to fill it in.
    pub fn literal(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.contains(PLACEHOLDER))
    }

    /// Whose changes it reads, where its rules are known.
    pub fn system(&self) -> Option<System> {
        match self.get("connector.class")? {
            POSTGRES => Some(System::Postgres),
            MARIADB | MYSQL => Some(System::Mysql),
            _ => None,
        }
    }

    /// The line that a setting stands on, 0 where it is missing.
    fn line_of(&self, key: &str) -> usize {
        let quoted = format!("\"{key}\"");
        let mut lines = self.text.lines();
        lines
            .position(|line| line.contains(&quoted))
            .map_or(0, |at| at + 1)
    }
}

/// The connectors with these names, all of them where none is named; faults are collected over all files.
pub fn load(jobs: &Path, names: &[String]) -> Result<Vec<Declared>> {
    let faults = Faults::default();
    let folder = jobs.join("connectors");
    let mut found = Vec::new();
    for (name, file) in files(&folder)? {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, error))?;
        if let Some(config) = parse(&file, &text, &faults) {
            found.push(Declared {
                name,
                file,
                text,
                config,
            });
        }
    }
    faults.into_result()?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !found.iter().any(|declared| declared.name == **name))
    {
        let known = found.iter().map(|declared| declared.name.as_str());
        let error = Error::new(
            Kind::NotFound,
            format!("there is no connector `{unknown}` in {}", folder.display()),
        );
        return Err(match nearest(unknown, known.clone()) {
            Some(near) => error.advise(format!("did you mean `{near}`?")),
            None => error.advise(format!(
                "make it: `bullion new connector {unknown} --from-postgres …` or `--from-mysql …`"
            )),
        });
    }
    found.retain(|declared| names.is_empty() || names.contains(&declared.name));
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(unreadable(folder, error)),
    };
    for entry in entries {
        let file = entry.map_err(|error| unreadable(folder, error))?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            found.push((name.into_owned(), file));
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::File, format!("cannot read {}", path.display())).because(error)
}

fn parse(file: &Path, text: &str, faults: &Faults) -> Option<BTreeMap<String, String>> {
    use serde_json::Value;
    let object: BTreeMap<String, Value> = match serde_json::from_str(text) {
        Ok(object) => object,
        Err(error) => {
            faults.add(file, error.line(), format!("is no JSON object: {error}"));
            return None;
        }
    };
    if object.contains_key("config") {
        let message = "keep only what is inside `config`: the connector's name is the file's";
        faults.add(file, 0, message);
        return None;
    }
    let mut config = BTreeMap::new();
    for (key, value) in object {
        match value {
            Value::String(text) => config.insert(key, text),
            Value::Bool(_) | Value::Number(_) => config.insert(key, value.to_string()),
            _ => {
                faults.add(
                    file,
                    0,
                    format!("`{key}` must be a text, a number or a boolean"),
                );
                None
            }
        };
    }
    Some(config)
}

#[cfg(test)]
mod tests;
