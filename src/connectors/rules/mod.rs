//! Settings of a Debezium connector that decide whether silver gets every change, and true.
//!
//! *Refuse*: changes would be lost or altered without a trace. *Warn*: they would be late, rejected, or cost the
//! source something.

mod mysql;
mod postgres;
mod shared;

use super::{Declared, PLACEHOLDER};
use crate::catalog::System;
use crate::fault::Faults;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Refuse,
    Warn,
}

type Judged = Option<(Verdict, &'static str)>;

/// One setting, what the template writes for it, and what is wrong with other values.
pub(super) struct Rule {
    pub(super) key: &'static str,
    pub(super) write: Option<&'static str>,
    judge: fn(Option<&str>) -> Judged,
}

const fn refuse(reason: &'static str) -> Judged {
    Some((Verdict::Refuse, reason))
}

const fn warn(reason: &'static str) -> Judged {
    Some((Verdict::Warn, reason))
}

/// Those of a source's connectors, its own first.
pub(super) fn rules(system: System) -> impl Iterator<Item = &'static Rule> {
    let own: &'static [Rule] = match system {
        System::Postgres => &postgres::RULES,
        System::Mysql => &mysql::RULES,
    };
    own.iter().chain(&shared::RULES)
}

/// Adds what is refused to `faults`, gives what is only warned of.
pub fn check(declared: &[Declared], faults: &Faults) -> Vec<String> {
    let mut warnings = Vec::new();
    for connector in declared {
        if connector.get("connector.class").is_none() {
            faults.add(&connector.file, 0, "`connector.class` is missing");
        }
        check_secrets(connector, faults);
        let Some(system) = connector.system() else {
            continue;
        };
        for rule in rules(system) {
            let Some((verdict, reason)) = (rule.judge)(connector.get(rule.key)) else {
                continue;
            };
            let message = format!("`{}` {reason}", rule.key);
            match verdict {
                Verdict::Refuse => {
                    faults.add(&connector.file, connector.line_of(rule.key), message);
                }
                Verdict::Warn => warnings.push(format!("{}: {message}", connector.file.display())),
            }
        }
    }
    check_unique(declared, "slot.name", faults);
    check_unique(declared, "publication.name", faults);
    check_unique(declared, "topic.prefix", faults);
    check_unique(declared, "database.server.id", faults);
    check_unique(declared, "schema.history.internal.kafka.topic", faults);
    warnings
}

/// A password in a file is one in the history of the repository, and Kafka Connect shows it to everybody.
fn check_secrets(connector: &Declared, faults: &Faults) {
    for (key, value) in &connector.config {
        let secret =
            key.ends_with("password") || key.ends_with("secret") || key.contains("sasl.jaas");
        if secret && !value.contains(PLACEHOLDER) {
            let message = format!(
                "`{key}` holds a secret: write a placeholder such as ${{env:BULLION_POSTGRES_PASSWORD}}, which Kafka Connect \
fills in (config.providers=env)"
            );
            faults.add(&connector.file, connector.line_of(key), message);
        }
    }
}

fn check_unique(declared: &[Declared], key: &str, faults: &Faults) {
    for (index, connector) in declared.iter().enumerate() {
        let Some(value) = connector.get(key) else {
            continue;
        };
        let mut earlier = declared.iter().take(index);
        if let Some(other) = earlier.find(|other| other.get(key) == Some(value)) {
            let message = format!("`{key}` {value} is also that of connector `{}`", other.name);
            faults.add(&connector.file, connector.line_of(key), message);
        }
    }
}
