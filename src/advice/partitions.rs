//! How a window of silver is read at least cost: by partitions where its time never changes, by `<name>_between` where it may
//! and keys follow time: docs/gold-costs.md.

use crate::column::Type;
use crate::job::{Dependency, GoldJob, Jobs, Reads, SilverJob};

pub fn missing(gold: &GoldJob, reads: &Reads, jobs: &Jobs) -> Vec<String> {
    let read = jobs.silver.iter().filter(|silver| {
        reads
            .jobs
            .contains(&Dependency::Silver(silver.name.clone()))
    });
    read.filter_map(|silver| wanted(gold, silver)).collect()
}

fn wanted(gold: &GoldJob, silver: &SilverJob) -> Option<String> {
    let time = silver.time_column.as_ref()?;
    if gold.is_whole_table() || silver.partition_by.is_some() {
        return None;
    }
    let between = format!("{}_between", silver.name);
    if !gold.window_columns().contains(time) && !gold.names(&between) {
        return None;
    }
    let column = silver.columns.iter().find(|column| column.name == *time)?;
    let in_key = silver.key.is_empty() || silver.key.contains(&column.source);
    if column.kind.is_nullable() || !(in_key || silver.immutable.contains(time)) {
        return (!gold.names(&between) && has_serial_key(silver)).then(|| {
            format!(
                "gold job {} reads windows of silver.{} by `{time}`, which may change: each may read most of the table; where keys rise with \
                 time, `FROM silver.{between}(from = {{from:DateTime64(3, 'UTC')}}, to = {{to:DateTime64(3, 'UTC')}})` reads the window alone \
                 (docs/gold-costs.md)",
                gold.name, silver.name
            )
        });
    }
    let key = if in_key {
        String::new()
    } else {
        format!(", with `{}` in its `key`,", column.source)
    };
    Some(format!(
        "gold job {} reads windows of silver.{} by `{time}`, which never changes: where keys do not follow time, each window reads \
         the whole table; `partition_by = \"day\"`{key} in jobs/silver/{}.toml lets it read the window alone (docs/gold-costs.md)",
        gold.name, silver.name, silver.name
    ))
}

/// One whole number, as serial keys are: those usually rise with time.
fn has_serial_key(silver: &SilverJob) -> bool {
    let [key] = silver.key.as_slice() else {
        return false;
    };
    let column = silver.columns.iter().find(|column| column.source == *key);
    column.is_some_and(|column| {
        matches!(
            column.kind,
            Type::Int32 | Type::Int64 | Type::UInt32 | Type::UInt64
        )
    })
}

#[cfg(test)]
mod tests;
