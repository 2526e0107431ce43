//! Which gold jobs a command is about: names, and dbt's `--select` and `--exclude`.

use crate::error::Result;
use crate::job::{GoldJob, Jobs};
use crate::select;

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

    fn words(&self) -> Vec<String> {
        self.jobs.iter().chain(&self.select).cloned().collect()
    }
}
