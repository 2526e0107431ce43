//! Which jobs a SELECT reads, by the names that stand in it. Pure: no server is asked.

use std::collections::BTreeSet;

use super::sql::{Token, compared_columns, tokens};
use super::{Dependency, GoldJob};
use crate::config;
use crate::job::Jobs;

/// What stands behind a silver job's name in the names of what `bullion migrate` makes of it.
const SILVER_SUFFIXES: [&str; 4] = ["", "_versions", "_between", "_times"];

/// What a job says that it reads, and what it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub jobs: BTreeSet<Dependency>,
    /// read, and not in `depends_on`
    pub undeclared: BTreeSet<Dependency>,
    /// in `depends_on`, and not read
    pub unread: BTreeSet<Dependency>,
}

impl Reads {
    pub fn new(job: &GoldJob, mut jobs: BTreeSet<Dependency>) -> Reads {
        // its own earlier windows are nothing to wait for
        jobs.remove(&Dependency::Gold(job.name.clone()));
        let declared: BTreeSet<Dependency> = job.depends_on.iter().cloned().collect();
        Reads {
            undeclared: jobs.difference(&declared).cloned().collect(),
            unread: declared.difference(&jobs).cloned().collect(),
            jobs,
        }
    }

    /// By the names `database.table` in the SELECT: what a view reads is not seen.
    pub fn by_names(job: &GoldJob, jobs: &Jobs, names: &config::ClickHouse) -> Reads {
        let pairs = qualified_names(&job.sql).into_iter();
        let read = pairs.filter_map(|(database, table)| jobs.job_of(names, &database, &table));
        Reads::new(job, read.collect())
    }
}

impl GoldJob {
    /// Columns of what it reads that its windows are cut by, as far as they stand bare.
    pub fn window_columns(&self) -> BTreeSet<String> {
        compared_columns(&self.sql)
    }

    /// Whether this name stands in its SELECT, outside of texts and comments.
    pub fn names(&self, wanted: &str) -> bool {
        tokens(&self.sql).any(|token| token.name().as_deref() == Some(wanted))
    }
}

impl Jobs {
    /// The job that a table belongs to.
    pub fn job_of(
        &self,
        names: &config::ClickHouse,
        database: &str,
        table: &str,
    ) -> Option<Dependency> {
        let gold = self.gold.iter().find(|job| job.name == table);
        if let (true, Some(job)) = (database == names.gold, gold) {
            return Some(Dependency::Gold(job.name.clone()));
        }
        if database != names.silver {
            return None;
        }
        let stripped = |suffix: &str| {
            let name = table.strip_suffix(suffix)?;
            self.silver.iter().find(|job| job.name == name)
        };
        let job = SILVER_SUFFIXES.iter().find_map(|suffix| stripped(suffix))?;
        Some(Dependency::Silver(job.name.clone()))
    }
}

/// Every `a.b` of a text: tables, and columns of tables that are called by an alias.
fn qualified_names(sql: &str) -> BTreeSet<(String, String)> {
    let tokens: Vec<Token<'_>> = tokens(sql).collect();
    let pair = |three: &[Token<'_>]| match three {
        [first, dot, second] if dot.text == "." => Some((first.name()?, second.name()?)),
        _ => None,
    };
    tokens.windows(3).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_outside_of_strings_and_comments_quoted_or_not() {
        let sql = "-- silver.not\nSELECT o.id, 1.5, 'silver.no' FROM silver.orders_between(from = {from:X}) AS o \
            JOIN `silver`.\"two words\" USING id, gold . daily /* gold.no */";
        let found: Vec<String> = qualified_names(sql)
            .into_iter()
            .map(|(database, table)| format!("{database}/{table}"))
            .collect();
        assert_eq!(
            found,
            [
                "gold/daily",
                "o/id",
                "silver/orders_between",
                "silver/two words"
            ]
        );
    }
}
