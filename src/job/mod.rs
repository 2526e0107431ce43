//! Jobs: the declarations under `jobs/`, loaded and checked as a whole.

mod gold;
mod silver;

use std::path::{Path, PathBuf};

pub(crate) use gold::sql;
pub use gold::{
    Dependency, GoldJob, Reads, STAGING_INFIX, WHOLE_TABLE, When, in_dependency_order,
    partition_expression, partition_id,
};
pub use silver::{
    Added, Column, DeletePolicy, Deletes, EarlierTime, Encoding, Extra, Flattened, Format,
    LookupMiss, Mask, MaskKey, NewColumnPolicy, NullPolicy, Policies, SYSTEM_COLUMNS, Shape,
    SilverJob, ToastPolicy, TruncatePolicy, ValuePolicy, WHOLE_DOCUMENT, Wire,
};
pub(crate) use silver::{ExtraFrom, quoted};

use crate::config::Config;
use crate::document::Document;
use crate::error::{Error, Kind, Result};
use crate::fault::{Faults, nearest};

/// Every job under `jobs/`, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    pub silver: Vec<SilverJob>,
    pub gold: Vec<GoldJob>,
}

impl Jobs {
    /// Reads `jobs/silver/*.toml` and `jobs/gold/*.{toml,sql}`; the error holds every fault of all of them.
    pub fn load(config: &Config) -> Result<Jobs> {
        let faults = Faults::default();
        let jobs = Jobs::read(config, &faults)?;
        faults.into_result()?;
        Ok(jobs)
    }

    fn read(config: &Config, faults: &Faults) -> Result<Jobs> {
        if !config.jobs.is_dir() {
            let jobs = std::path::absolute(&config.jobs).unwrap_or_else(|_| config.jobs.clone());
            let message = format!("there is no folder of jobs at {}", jobs.display());
            return Err(Error::new(Kind::Config, message).advise(
                "set `jobs` in bullion.toml or BULLION_JOBS, or make one: `bullion new silver …`",
            ));
        }
        let mut silver = Vec::new();
        // a job with faults exists, too: who depends on it is not to blame
        let mut names = Vec::new();
        for (name, file) in declarations(&config.jobs.join("silver"), faults)? {
            names.push(name.clone());
            let text = read_file(&file)?;
            let document = Document::parse(&file, &text, faults);
            silver.extend(silver::read(
                &name,
                document.root(faults),
                config.mask_key.as_ref(),
            ));
        }
        check_topics(&silver, &config.jobs, faults);
        let mut gold = Vec::new();
        for (name, file) in declarations(&config.jobs.join("gold"), faults)? {
            let text = read_file(&file)?;
            let document = Document::parse(&file, &text, faults);
            let sql_file = file.with_extension("sql");
            let sql = sql_file
                .exists()
                .then(|| read_file(&sql_file))
                .transpose()?;
            let declared = gold::Declaration {
                name: &name,
                sql_file: &sql_file,
                sql: sql.as_deref(),
                zone: config.time_zone,
                faults,
            };
            gold.extend(gold::read(&declared, document.root(faults)));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        gold::check_dependencies(&gold, &names, &config.jobs, faults);
        gold::check_followed(&gold, &silver, &config.jobs, faults);
        Ok(Jobs { silver, gold })
    }

    /// The gold jobs with these names (all of them where none is named), each after those it depends on.
    pub fn select_gold(&self, names: &[String]) -> Result<Vec<GoldJob>> {
        let known = || self.gold.iter().map(|job| job.name.as_str());
        if let Some(name) = names.iter().find(|name| !known().any(|job| job == **name)) {
            return Err(unknown_job("gold", name, known()));
        }
        let ordered = in_dependency_order(&self.gold).into_iter();
        let chosen = ordered.filter(|job| names.is_empty() || names.contains(&job.name));
        Ok(chosen.cloned().collect())
    }

    /// The silver job of this name.
    pub fn one_silver(&self, name: &str) -> Result<SilverJob> {
        let found = self.silver.iter().find(|job| job.name == name);
        let known = || self.silver.iter().map(|job| job.name.as_str());
        found
            .cloned()
            .ok_or_else(|| unknown_job("silver", name, known()))
    }

    /// The silver jobs with these names, all of them where none is named.
    pub fn select_silver(&self, names: &[String]) -> Result<Vec<SilverJob>> {
        if names.is_empty() {
            return Ok(self.silver.clone());
        }
        let known = || self.silver.iter().map(|job| job.name.as_str());
        names
            .iter()
            .map(|name| {
                let found = self.silver.iter().find(|job| job.name == *name);
                found
                    .cloned()
                    .ok_or_else(|| unknown_job("silver", name, known()))
            })
            .collect()
    }
}

/// The jobs of a topic as their files are now; files with faults are somebody else's to mend.
pub fn silver_of_topic(config: &Config, topic: &str) -> Result<Vec<SilverJob>> {
    let mut found = Vec::new();
    for (name, file) in declarations(&config.jobs.join("silver"), &Faults::default())? {
        let Ok(text) = read_file(&file) else {
            continue;
        };
        let faults = Faults::default();
        let document = Document::parse(&file, &text, &faults);
        let job = silver::read(&name, document.root(&faults), config.mask_key.as_ref());
        if faults.into_result().is_ok() {
            found.extend(job.filter(|job| job.topic == topic));
        }
    }
    Ok(found)
}

/// One silver job from the text of its file, which need not be written yet.
pub fn parse_silver(name: &str, file: &Path, text: &str) -> Result<SilverJob> {
    let faults = Faults::default();
    let document = Document::parse(file, text, &faults);
    let job = silver::read(name, document.root(&faults), None);
    faults.into_result()?;
    job.ok_or_else(|| Error::new(Kind::Internal, "a fault of a job was not reported"))
}

impl Jobs {
    /// Offsets are committed for all jobs of a topic together, so none of them may be left out.
    pub fn whole_topics(&self, chosen: &[SilverJob]) -> Result<()> {
        for job in chosen {
            let mut others = self.silver.iter().filter(|other| other.topic == job.topic);
            let missing =
                others.find(|other| !chosen.iter().any(|chosen| chosen.name == other.name));
            if let Some(other) = missing {
                let message = format!(
                    "job {} reads topic {} as job {} does, and was not named",
                    other.name, job.topic, job.name
                );
                return Err(Error::new(Kind::Usage, message)
                    .advise("name both, or none: the offsets of a topic are committed for all its jobs together"));
            }
        }
        Ok(())
    }
}

/// The error for a job name that nobody declared.
pub fn unknown_job<'a>(
    layer: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let error = Error::new(Kind::NotFound, format!("there is no {layer} job `{name}`"));
    match nearest(name, known.clone()) {
        Some(near) => error.advise(format!("did you mean `{near}`?")),
        None if known.clone().next().is_none() => error.advise(format!(
            "no {layer} job is declared; `bullion new {layer} {name} --help` says how to write one"
        )),
        None => error.advise(format!(
            "{layer} jobs are: {}",
            known.collect::<Vec<_>>().join(", ")
        )),
    }
}

/// `<name>.toml` files of a folder by name; a name is what ClickHouse tables are called.
fn declarations(folder: &Path, faults: &Faults) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(unreadable(folder, error)),
    };
    for entry in entries {
        let file = entry.map_err(|error| unreadable(folder, error))?.path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            found.push((name, file));
        } else {
            faults.add(
                &file,
                0,
                "a job's file name holds only letters, digits and `_`",
            );
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| unreadable(file, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::File, format!("cannot read {}", path.display())).because(error)
}

/// Several jobs read one topic where each says which tables are its own; its offsets then are of one epoch.
fn check_topics(silver: &[SilverJob], jobs: &Path, faults: &Faults) {
    for (index, job) in silver.iter().enumerate() {
        let mut earlier = silver.iter().take(index);
        let Some(other) = earlier.find(|other| other.topic == job.topic) else {
            continue;
        };
        let file = jobs.join("silver").join(format!("{}.toml", job.name));
        if job.tables.is_empty() || other.tables.is_empty() {
            let message = format!(
                "topic `{}` already belongs to job `{}`; where it holds several tables, each of its jobs says which: `table = \"schema.table\"`",
                job.topic, other.name
            );
            faults.add(&file, 0, message);
        } else if job.epoch != other.epoch {
            let message = format!(
                "job `{}` reads topic `{}` in epoch {}: jobs of one topic have one epoch",
                other.name, job.topic, other.epoch
            );
            faults.add(&file, 0, message);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
