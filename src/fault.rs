//! Faults of a configuration: gathered while reading, reported together.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};

/// One thing that is wrong in a declaration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// counted from 1; 0 when the fault is the file's as a whole
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.message),
        }
    }
}

/// Collects faults behind a shared reference, so that readers can go on after the first.
#[derive(Default)]
pub struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    pub fn add(&self, file: &Path, line: usize, message: impl Into<String>) {
        self.0.borrow_mut().push(Fault {
            file: file.to_owned(),
            line,
            message: message.into(),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All faults in the order of file and line.
    pub fn into_sorted(self) -> Vec<Fault> {
        let mut faults = self.0.into_inner();
        faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        faults
    }

    /// `Ok` when nothing was found, else one error that shows every fault on a line of its own.
    pub fn into_result(self) -> crate::error::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let faults = self.into_sorted();
        let plural = if faults.len() == 1 { "" } else { "s" };
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Err(Error::new(
            Kind::Config,
            format!("{} fault{plural} in the configuration{lines}", faults.len()),
        )
        .advise("correct them; `bullion check` looks again without running anything"))
    }
}

/// The candidate that was probably meant by a misspelt `name`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `, did you mean …?` or nothing.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_shown_together_in_the_order_of_the_file() {
        let faults = Faults::default();
        faults.add(Path::new("jobs/b.toml"), 7, "second");
        faults.add(Path::new("jobs/a.toml"), 3, "first");
        let error = faults.into_result().unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 faults in the configuration\n  jobs/a.toml:3: first\n  jobs/b.toml:7: second"
        );
        assert_eq!(error.kind().policy().exit, 2);
    }

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        assert_eq!(nearest("topci", ["topic", "key"]), Some("topic"));
        assert_eq!(nearest("flavour", ["topic", "key"]), None);
    }
}
