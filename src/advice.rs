//! What is no fault of a declaration, and still worth a word: what `bullion check` says beside faults. Pure.

use crate::config;
use crate::job::{Jobs, Reads};

/// One sentence for each, by job.
pub fn of(jobs: &Jobs, names: &config::ClickHouse) -> Vec<String> {
    let mut advice = Vec::new();
    for job in &jobs.gold {
        for read in Reads::by_names(job, jobs, names).undeclared {
            advice.push(format!(
                "gold job {} reads {read}, which its `depends_on` does not name: it does not wait for it, and no change of it makes a window dirty",
                job.name
            ));
        }
    }
    advice
}
