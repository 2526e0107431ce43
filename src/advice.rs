//! What is no fault of a declaration, and still worth a word: what `bullion check` says beside faults. Pure.

mod partitions;

use crate::config;
use crate::job::{Dependency, GoldJob, Jobs, Reads, SilverJob};

/// One sentence for each, by job.
pub fn of(jobs: &Jobs, names: &config::ClickHouse) -> Vec<String> {
    let of_job = |job| {
        let reads = Reads::by_names(job, jobs, names);
        let mut advice = undeclared(job, &reads);
        advice.extend(untracked(job, jobs, &reads));
        advice.extend(partitions::missing(job, &reads, jobs));
        advice
    };
    jobs.gold.iter().flat_map(of_job).collect()
}

fn undeclared(job: &GoldJob, reads: &Reads) -> Vec<String> {
    let advise = |read: &Dependency| {
        format!(
            "gold job {} reads {read}, which its `depends_on` does not name: it does not wait for it, and no change of it makes a window dirty",
            job.name
        )
    };
    reads.undeclared.iter().map(advise).collect()
}

/// Columns that cut the job's windows, while changes of silver are told by another column, or by none.
fn untracked(job: &GoldJob, jobs: &Jobs, reads: &Reads) -> Vec<String> {
    let is_read = |silver: &&SilverJob| {
        reads
            .jobs
            .contains(&Dependency::Silver(silver.name.clone()))
    };
    let read: Vec<&SilverJob> = jobs.silver.iter().filter(is_read).collect();
    let mut advice = Vec::new();
    for column in job.window_columns() {
        let is_time = |silver: &&SilverJob| silver.time_column.as_ref() == Some(&column);
        // of whichever table it is, one tells its changes by it
        if read.iter().any(is_time) {
            continue;
        }
        let Some(silver) = read.iter().find(|silver| silver.has_column(&column)) else {
            continue;
        };
        let begin = format!(
            "gold job {} cuts its windows by `{column}` of silver.{}",
            job.name, silver.name
        );
        advice.push(match &silver.time_column {
            None => format!(
                "{begin}, which has no `time_column`: no change of it makes a window dirty; write time_column = \"{column}\" into its file"
            ),
            Some(time) => format!(
                "{begin}, whose `time_column` is `{time}`: a change makes the windows of `{time}` dirty, and none of `{column}`"
            ),
        });
    }
    advice
}
