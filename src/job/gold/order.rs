//! Which gold job waits for which: dependencies exist, do not go in circles, and come first.

use std::path::Path;

use super::{Dependency, GoldJob};
use crate::fault::{Faults, suggestion};
use crate::job::SilverJob;

/// Reports dependencies that nobody declares, and circles.
pub(in crate::job) fn check_dependencies(
    gold: &[GoldJob],
    silver: &[&str],
    folder: &Path,
    faults: &Faults,
) {
    let file = |job: &GoldJob| folder.join("gold").join(format!("{}.toml", job.name));
    for job in gold {
        for dependency in &job.depends_on {
            let names: Vec<&str> = match dependency {
                Dependency::Silver(_) => silver.to_vec(),
                Dependency::Gold(_) => gold.iter().map(|job| job.name.as_str()).collect(),
            };
            let (Dependency::Silver(wanted) | Dependency::Gold(wanted)) = dependency;
            if !names.contains(&wanted.as_str()) {
                let near = suggestion(wanted, names);
                let message = format!("`depends_on`: there is no job `{dependency}`{near}");
                faults.add(&file(job), 0, message);
            }
        }
    }
    let (_, circle) = sorted(gold);
    if let Some(first) = circle.first() {
        let names: Vec<&str> = circle.iter().map(|job| job.name.as_str()).collect();
        let message = format!("`depends_on` goes in a circle among {}", names.join(", "));
        faults.add(&file(first), 0, message);
    }
}

/// Reports jobs that are to follow changes which nobody records.
pub(in crate::job) fn check_followed(
    gold: &[GoldJob],
    silver: &[SilverJob],
    folder: &Path,
    faults: &Faults,
) {
    let is_tracked = |dependency: &Dependency| match dependency {
        Dependency::Gold(_) => true,
        // one with faults of its own is not here, and not to blame
        Dependency::Silver(name) => {
            let declared = silver.iter().find(|job| job.name == *name);
            declared.is_none_or(|job| job.time_column.is_some())
        }
    };
    for job in gold.iter().filter(|job| job.follows_changes()) {
        if !job.depends_on.iter().any(is_tracked) {
            let file = folder.join("gold").join(format!("{}.toml", job.name));
            let message = "`schedule`: `on-change` follows what `depends_on` names: a gold job, or a silver job with a `time_column`";
            faults.add(&file, 0, message);
        }
    }
}

/// Every job after the gold jobs it depends on, otherwise by name.
pub fn in_dependency_order(gold: &[GoldJob]) -> Vec<&GoldJob> {
    let (mut ordered, circle) = sorted(gold);
    ordered.extend(circle);
    ordered
}

/// The jobs in order, and those that lie on or behind a circle.
fn sorted(gold: &[GoldJob]) -> (Vec<&GoldJob>, Vec<&GoldJob>) {
    let mut waiting: Vec<&GoldJob> = gold.iter().collect();
    let mut ordered = Vec::new();
    loop {
        let (ready, blocked): (Vec<&GoldJob>, Vec<&GoldJob>) = waiting
            .iter()
            .partition(|job| !waiting.iter().any(|other| depends(job, other)));
        if ready.is_empty() {
            return (ordered, blocked);
        }
        ordered.extend(ready);
        waiting = blocked;
    }
}

fn depends(job: &GoldJob, other: &GoldJob) -> bool {
    job.depends_on
        .iter()
        .any(|dependency| matches!(dependency, Dependency::Gold(name) if *name == other.name))
}
