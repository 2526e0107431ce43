//! Which letters are meant. What is left empty does not restrict.

use chrono::{DateTime, Utc};

use super::{marks, table};
use crate::sink::clickhouse::literal;

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub jobs: Vec<String>,
    pub reasons: Vec<String>,
    pub columns: Vec<String>,
    pub topics: Vec<String>,
    pub partitions: Vec<i32>,
    pub offsets: Option<Offsets>,
    /// of the message, `[from, to)`
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub state: State,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// it waits for somebody
    #[default]
    Open,
    /// a replay made its row
    Resolved,
    /// hidden, its bytes kept
    Discarded,
    Any,
}

/// `[from, to)`, open where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl std::str::FromStr for Offsets {
    type Err = String;

    /// `17`, `10..20` (20 not included), `10..` or `..20`.
    fn from_str(text: &str) -> Result<Offsets, String> {
        let number = |text: &str| match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(offset),
            _ => Err(format!(
                "`{text}` is no offset: write 17, 10..20, 10.. or ..20"
            )),
        };
        let side = |text: &str| match text {
            "" => Ok(None),
            text => number(text).map(Some),
        };
        match text.split_once("..") {
            None => number(text).map(|offset| Offsets {
                from: Some(offset),
                to: Some(offset.saturating_add(1)),
            }),
            Some((from, to)) => match (side(from)?, side(to)?) {
                (Some(from), Some(to)) if from >= to => {
                    Err(format!("`{text}` holds no offset: the end is not included"))
                }
                (from, to) => Ok(Offsets { from, to }),
            },
        }
    }
}

impl Filter {
    /// `FROM … WHERE …`: the newest words on each letter.
    pub(super) fn source(&self, ops: &str) -> String {
        let mut terms = Vec::new();
        for (column, wanted) in [
            ("job", &self.jobs),
            ("reason", &self.reasons),
            ("column", &self.columns),
            ("topic", &self.topics),
        ] {
            if !wanted.is_empty() {
                let wanted: Vec<String> = wanted.iter().map(|text| literal(text)).collect();
                terms.push(format!("{column} IN ({})", wanted.join(", ")));
            }
        }
        if !self.partitions.is_empty() {
            let wanted: Vec<String> = self.partitions.iter().map(i32::to_string).collect();
            terms.push(format!("partition IN ({})", wanted.join(", ")));
        }
        if let Some(offsets) = self.offsets {
            terms.extend(offsets.from.map(|from| format!("offset >= {from}")));
            terms.extend(offsets.to.map(|to| format!("offset < {to}")));
        }
        let millis = |at: DateTime<Utc>| {
            format!("fromUnixTimestamp64Milli({}, 'UTC')", at.timestamp_millis())
        };
        terms.extend(
            self.from
                .map(|at| format!("message_time >= {}", millis(at))),
        );
        terms.extend(self.to.map(|at| format!("message_time < {}", millis(at))));
        terms.extend(self.state.term(ops));
        let all = if terms.is_empty() {
            "1".to_owned()
        } else {
            terms.join(" AND ")
        };
        format!("FROM {} FINAL WHERE {all}", table(ops))
    }
}

impl State {
    fn term(self, ops: &str) -> Option<String> {
        let (word, state) = match self {
            State::Any => return None,
            State::Open => ("NOT IN", ""),
            State::Resolved => ("IN", " WHERE state = 'resolved'"),
            State::Discarded => ("IN", " WHERE state = 'discarded'"),
        };
        Some(format!(
            "(topic, partition, version) {word} (SELECT topic, partition, version FROM {} FINAL{state})",
            marks(ops)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_half_open_and_may_lack_a_side() {
        let read = |text: &str| text.parse::<Offsets>();
        let range = |from, to| Ok(Offsets { from, to });
        assert_eq!(read("17"), range(Some(17), Some(18)));
        assert_eq!(read("10..20"), range(Some(10), Some(20)));
        assert_eq!(read("10.."), range(Some(10), None));
        assert_eq!(read("..20"), range(None, Some(20)));
        for wrong in ["", "x", "-1", "20..10", "10..10", "1..x", "1.5"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_person_types_stays_a_value() {
        let filter = Filter {
            columns: vec!["it's'); DROP TABLE x; --".to_owned()],
            partitions: vec![1, 2],
            ..Filter::default()
        };
        let sql = filter.source("ops");
        assert!(
            sql.contains(r"column IN ('it\'s\'); DROP TABLE x; --')"),
            "{sql}"
        );
        assert!(sql.contains("partition IN (1, 2)"), "{sql}");
        assert!(sql.contains("NOT IN (SELECT"), "{sql}");
    }
}
