//! Reads one TOML file into typed values, remembering every line, so that faults can name theirs.
//!
//! A [`Section`] is asked for each key it may hold; `finish` then reports the keys that nobody asked for.

mod scalar;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Faults, suggestion};

pub use scalar::Scalar;

/// A file that is well-formed TOML.
pub struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Syntax errors become faults; what can still be read is.
    pub fn parse(file: &'a Path, text: &'a str, faults: &Faults) -> Document<'a> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            faults.add(file, line, message);
        }
        Document { file, text, root }
    }

    pub fn root<'s>(&'s self, faults: &'s Faults) -> Section<'s> {
        Section {
            file: self.file,
            text: self.text,
            path: String::new(),
            line: 0,
            table: self.root.get_ref(),
            asked: RefCell::new(Vec::new()),
            faults,
        }
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(byte)
        .filter(|b| **b == b'\n')
        .count()
}

/// A TOML table and where it stands.
pub struct Section<'s> {
    file: &'s Path,
    text: &'s str,
    path: String,
    line: usize,
    table: &'s DeTable<'s>,
    asked: RefCell<Vec<&'static str>>,
    faults: &'s Faults,
}

/// A value with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub line: usize,
}

impl<'s> Section<'s> {
    pub fn line(&self) -> usize {
        self.line
    }

    pub fn fault(&self, line: usize, message: impl Into<String>) {
        self.faults.add(self.file, line, message);
    }

    fn value(&self, key: &'static str) -> Option<Located<&'s DeValue<'s>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key).map(|value| Located {
            line: line_of(self.text, value.span().start),
            value: value.get_ref(),
        })
    }

    fn wrong<T>(&self, key: &str, found: &Located<&DeValue<'_>>, expected: &str) -> Option<T> {
        let kind = found.value.type_str();
        self.fault(
            found.line,
            format!("`{}{key}` must be {expected}, not {kind}", self.path),
        );
        None
    }

    /// Whether the file says anything about it.
    pub fn has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.table.contains_key(key)
    }

    pub fn text(&self, key: &'static str) -> Option<Located<String>> {
        let found = self.value(key)?;
        match found.value {
            DeValue::String(text) => Some(Located {
                value: text.to_string(),
                line: found.line,
            }),
            _ => self.wrong(key, &found, "a string"),
        }
    }

    pub fn required_text(&self, key: &'static str) -> Option<Located<String>> {
        if !self.table.contains_key(key) {
            self.asked.borrow_mut().push(key);
            self.fault(self.line, format!("`{}{key}` is missing", self.path));
            return None;
        }
        self.text(key)
    }

    pub fn integer(&self, key: &'static str) -> Option<Located<i64>> {
        let found = self.value(key)?;
        let parsed = match found.value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        match parsed {
            Some(value) => Some(Located {
                value,
                line: found.line,
            }),
            None => self.wrong(key, &found, "a whole number"),
        }
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let found = self.value(key)?;
        match found.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong(key, &found, "true or false"),
        }
    }

    /// Such as `"90s"`, `"15m"`, `"6h"`, `"7d"`, `"500ms"`.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let text = self.text(key)?;
        match parse_duration(&text.value) {
            Some(duration) => Some(duration),
            None => {
                let message = format!(
                    "`{}{key}`: `{}` is no duration; write 500ms, 90s, 15m, 6h or 7d",
                    self.path, text.value
                );
                self.fault(text.line, message);
                None
            }
        }
    }

    /// One of a closed set of words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key)?;
        if let Some((_, chosen)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*chosen);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let near = suggestion(&text.value, known.iter().copied());
        let message = format!(
            "`{}{key}` is one of {}; `{}` is not{near}",
            self.path,
            known.join(", "),
            text.value
        );
        self.fault(text.line, message);
        None
    }

    /// A list of strings; absent is empty.
    pub fn texts(&self, key: &'static str) -> Vec<Located<String>> {
        let Some(found) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = found.value else {
            return self
                .wrong(key, &found, "a list of strings")
                .unwrap_or_default();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            let line = line_of(self.text, item.span().start);
            match item.get_ref() {
                DeValue::String(text) => texts.push(Located {
                    value: text.to_string(),
                    line,
                }),
                _ => self.fault(line, format!("`{}{key}` holds strings only", self.path)),
            }
        }
        texts
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'s>> {
        let found = self.value(key)?;
        match found.value {
            DeValue::Table(table) => Some(self.inside(key, found.line, table)),
            _ => self.wrong(key, &found, "a table"),
        }
    }

    /// `[[key]]`, in order.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'s>> {
        let Some(found) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = found.value else {
            return self
                .wrong(key, &found, "a list of tables")
                .unwrap_or_default();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            let line = line_of(self.text, item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => sections.push(self.inside(key, line, table)),
                _ => self.fault(line, format!("`{}{key}` holds tables only", self.path)),
            }
        }
        sections
    }

    /// Every entry of a table whose keys are the user's own names, in the order of the file.
    pub fn entries(&self) -> Vec<(String, Entry<'s>)> {
        let mut entries = Vec::new();
        for (key, value) in self.table.iter() {
            let line = line_of(self.text, key.span().start);
            let name = key.get_ref().to_string();
            let entry = match value.get_ref() {
                DeValue::String(text) => Entry::Text(Located {
                    value: text.to_string(),
                    line,
                }),
                DeValue::Integer(digits) => Entry::Text(Located {
                    value: digits.as_str().to_owned(),
                    line,
                }),
                DeValue::Boolean(value) => Entry::Text(Located {
                    value: value.to_string(),
                    line,
                }),
                DeValue::Table(table) => Entry::Section(self.inside(&name, line, table)),
                other => {
                    let message = format!("`{}{name}` cannot be {}", self.path, other.type_str());
                    self.fault(line, message);
                    continue;
                }
            };
            entries.push((name, entry));
        }
        entries
    }

    fn inside(&self, key: &str, line: usize, table: &'s DeTable<'s>) -> Section<'s> {
        Section {
            file: self.file,
            text: self.text,
            path: format!("{}{key}.", self.path),
            line,
            table,
            asked: RefCell::new(Vec::new()),
            faults: self.faults,
        }
    }

    /// Reports every key that was never asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if !asked.contains(&name) {
                let near = suggestion(name, asked.iter().copied());
                let line = line_of(self.text, key.span().start);
                self.fault(line, format!("unknown field `{}{name}`{near}", self.path));
            }
        }
    }
}

/// The value of a user-named key: plain text, or a table of its own.
pub enum Entry<'s> {
    Text(Located<String>),
    Section(Section<'s>),
}

/// A whole number and its unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().ok()?;
    let seconds = match text.get(digits.len()..)? {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A whole number of bytes, KiB, MiB or GiB.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number: u64 = digits.trim().parse().ok()?;
    let unit = match text.get(digits.len()..)?.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, read: impl Fn(&Section<'_>)) -> Vec<String> {
        let faults = Faults::default();
        let file = Path::new("x.toml");
        let document = Document::parse(file, text, &faults);
        let root = document.root(&faults);
        read(&root);
        root.finish();
        let sorted = faults.into_sorted();
        sorted.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_of_a_file_is_found_in_one_reading() {
        let text = "topci = 'orders'\nrows = 'many'\n[policy]\ndelete = 'delte'\n";
        let found = faults_of(text, |root| {
            root.required_text("topic");
            root.integer("rows");
            if let Some(policy) = root.section("policy") {
                policy.choice("delete", &[("delete", 1), ("ignore", 2)]);
                policy.finish();
            }
        });
        assert_eq!(
            found,
            [
                "x.toml: `topic` is missing",
                "x.toml:1: unknown field `topci`, did you mean `topic`?",
                "x.toml:2: `rows` must be a whole number, not string",
                "x.toml:4: `policy.delete` is one of delete, ignore; `delte` is not, did you mean `delete`?",
            ]
        );
    }

    #[test]
    fn syntax_errors_name_their_line() {
        let found = faults_of("a = 1\nb = \n", |root| {
            root.integer("a");
            root.integer("b");
        });
        assert!(
            found.iter().any(|fault| fault.starts_with("x.toml:2:")),
            "{found:?}"
        );
    }

    #[test]
    fn durations_and_sizes_carry_their_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("5 fortnights"), None);
        assert_eq!(parse_bytes("96MiB"), Some(96 << 20));
        assert_eq!(parse_bytes("96 MB"), None);
    }
}
