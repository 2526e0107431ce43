//! Which gold job waits for which: dependencies exist, do not go in circles, and come first.

use std::path::Path;

use super::{Dependency, GoldJob};
use crate::fault::{Faults, suggestion};

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
