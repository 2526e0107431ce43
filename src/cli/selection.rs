//! Which gold jobs a command is about: names, and dbt's `--select` and `--exclude`.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::job::{GoldJob, Jobs};
use crate::select::{self, Node};

#[derive(clap::Args)]
pub struct Selection {
    /// Gold jobs; all of them where none is selected
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// The same with what lies around them: +JOB, JOB+, 1+JOB, silver.NAME+, tag:WORD, daily_*; a comma asks for both sides
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    select: Vec<String>,
    /// Leave these out
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    exclude: Vec<String>,
}

impl Selection {
    /// Each job after those it depends on.
    pub fn gold(&self, jobs: &Jobs) -> Result<Vec<GoldJob>> {
        select::gold(jobs, &self.words(), &self.exclude)
    }

    /// Silver jobs, too; every job where none is selected.
    pub fn nodes(&self, jobs: &Jobs) -> Result<BTreeSet<Node>> {
        let words = self.words();
        let mut nodes = select::nodes(jobs, &words, &self.exclude)?;
        if words.is_empty() {
            let left_out = match self.exclude.is_empty() {
                true => BTreeSet::new(),
                false => select::nodes(jobs, &self.exclude, &[])?,
            };
            let silver = jobs.silver.iter().map(|job| Node::Silver(job.name.clone()));
            nodes.extend(silver.filter(|node| !left_out.contains(node)));
        }
        Ok(nodes)
    }

    fn words(&self) -> Vec<String> {
        self.jobs.iter().chain(&self.select).cloned().collect()
    }
}
