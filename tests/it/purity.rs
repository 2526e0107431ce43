//! Nothing in silver depends on a clock: what decides about rows has none.

use std::path::{Path, PathBuf};

const PURE: [&str; 6] = [
    "envelope",
    "column",
    "window",
    "batch.rs",
    "checkpoint.rs",
    "cron.rs",
];
const CLOCKS: [&str; 4] = ["Utc::now", "Local::now", "SystemTime", "Instant::now"];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn what_decides_about_rows_has_no_clock() {
    let mut files = Vec::new();
    for part in PURE {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part),
            &mut files,
        );
    }
    assert!(files.len() > 30, "{files:?}");
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for clock in CLOCKS {
            assert!(!product.contains(clock), "{}: {clock}", file.display());
        }
    }
}
