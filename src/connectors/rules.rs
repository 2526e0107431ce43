//! Settings of a Debezium PostgreSQL connector that decide whether silver gets every change, and true.
//!
//! *Refuse*: changes would be lost or altered without a trace. *Warn*: they would be late, rejected, or cost the
//! source something.

use super::{Declared, PLACEHOLDER};
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

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const HIDDEN_NULLS: Judged =
    refuse("must be false: a NULL in a column with a default would arrive as the default");
const OWN_CONVERTER: Judged = refuse(
    "must be set to org.apache.kafka.connect.json.JsonConverter: the worker's own converter has settings nobody checks",
);

pub(super) const RULES: [Rule; 25] = [
    Rule {
        key: "plugin.name",
        write: Some("pgoutput"),
        judge: |value| match value {
            Some("pgoutput") => None,
            _ => warn(
                "should be pgoutput, which PostgreSQL brings along; the default needs an extension",
            ),
        },
    },
    Rule {
        key: "slot.name",
        write: None,
        judge: |value| match value {
            Some(_) => None,
            None => refuse(
                "must be given: two connectors on the default slot take changes from each other",
            ),
        },
    },
    Rule {
        key: "slot.drop.on.stop",
        write: Some("false"),
        judge: |value| match value {
            None | Some("false") => None,
            _ => refuse("must be false: what changes while the connector is stopped would be lost"),
        },
    },
    Rule {
        key: "publication.name",
        write: None,
        judge: |value| match value {
            Some(_) => None,
            None => refuse(
                "must be given: two connectors on the default publication take tables from each other",
            ),
        },
    },
    Rule {
        key: "publication.autocreate.mode",
        write: Some("filtered"),
        judge: |value| match value {
            Some("filtered" | "disabled") => None,
            Some("no_tables") => {
                refuse("must be filtered: a publication without tables sends nothing")
            }
            _ => refuse(
                "must be filtered: the default publishes every table, needs a superuser, and makes UPDATE and DELETE fail \
on tables without a primary key",
            ),
        },
    },
    Rule {
        key: "table.include.list",
        write: None,
        judge: |value| match value {
            Some(_) => None,
            None => warn("is missing: every table of the database is captured"),
        },
    },
    Rule {
        key: "snapshot.mode",
        write: Some("initial"),
        judge: |value| match value {
            None | Some("initial") => None,
            Some("initial_only") => refuse(
                "must not be initial_only: it ends after the snapshot, later changes never come",
            ),
            Some("no_data" | "never") => warn(
                "leaves out the rows that exist now: silver lacks them until they change or are backfilled",
            ),
            Some("always" | "when_needed") => warn(
                "may read all rows again, which never tells of rows deleted meanwhile: those stay in silver",
            ),
            Some(_) => {
                warn("is not the plain initial: check that it reads the rows that exist now")
            }
        },
    },
    Rule {
        key: "skipped.operations",
        write: Some("none"),
        judge: |value| match value {
            Some("none") => None,
            None | Some("t") => refuse(
                "must be none: by default a TRUNCATE never reaches Kafka and silver keeps rows the source no longer has",
            ),
            Some(_) => {
                refuse("must be none: skipped operations are changes that silver never sees")
            }
        },
    },
    Rule {
        key: "tombstones.on.delete",
        write: Some("true"),
        judge: |value| match value {
            None | Some("true") => None,
            _ => warn(
                "should be true: without tombstones a compacted topic keeps the changes of deleted rows for ever",
            ),
        },
    },
    Rule {
        key: "heartbeat.interval.ms",
        write: Some("10000"),
        judge: |value| match value.map(str::parse::<u64>) {
            Some(Ok(interval)) if interval > 0 => None,
            _ => refuse(
                "must be more than 0, such as 10000: without heartbeats a quiet table's slot keeps the log until the \
source's disk is full, and nobody can tell quiet from late",
            ),
        },
    },
    Rule {
        key: "decimal.handling.mode",
        write: Some("string"),
        judge: |value| match value {
            Some("string") => None,
            Some("double") => refuse("must be string: double loses digits"),
            _ => warn(
                "should be string: precise sends bytes without their scale (columns then need `from = \"unscaled\"`) and \
stops at NaN",
            ),
        },
    },
    Rule {
        key: "time.precision.mode",
        write: Some("microseconds"),
        judge: |value| match value {
            Some("microseconds") => None,
            Some("connect") => refuse("must be microseconds: connect cuts times to milliseconds"),
            _ => warn(
                "should be microseconds, which `bullion new silver` assumes: elsewhere the unit depends on the column, and \
each job must name it (`from = \"millis\"`)",
            ),
        },
    },
    Rule {
        key: "interval.handling.mode",
        write: Some("string"),
        judge: |value| match value {
            Some("string") => None,
            _ => warn("should be string: as a number a month is taken for 30.4375 days"),
        },
    },
    Rule {
        key: "binary.handling.mode",
        write: Some("base64"),
        judge: |value| match value {
            None | Some("base64" | "bytes") => None,
            _ => warn("should be base64: silver jobs read bytea from base64"),
        },
    },
    Rule {
        key: "hstore.handling.mode",
        write: Some("json"),
        judge: |value| match value {
            None | Some("json") => None,
            _ => warn("should be json: columns then need `from = \"json\"`"),
        },
    },
    Rule {
        key: "unavailable.value.placeholder",
        write: None,
        judge: |value| match value {
            None | Some("__debezium_unavailable_value") => None,
            _ => refuse(
                "must be left at its default: another placeholder would be stored as if it were the value",
            ),
        },
    },
    Rule {
        key: "event.processing.failure.handling.mode",
        write: Some("fail"),
        judge: |value| match value {
            None | Some("fail") => None,
            _ => refuse("must be fail: otherwise a change that cannot be read is passed over"),
        },
    },
    Rule {
        key: "errors.tolerance",
        write: Some("none"),
        judge: |value| match value {
            None | Some("none") => None,
            _ => refuse("must be none: otherwise a message that cannot be written is dropped"),
        },
    },
    Rule {
        key: "transforms",
        write: None,
        judge: |value| match value {
            None | Some("") => None,
            _ => warn(
                "changes messages: silver jobs read Debezium's whole envelope, from the topic that they name",
            ),
        },
    },
    Rule {
        key: "key.converter",
        write: Some(JSON),
        judge: |value| match value {
            Some(JSON) => None,
            _ => OWN_CONVERTER,
        },
    },
    Rule {
        key: "key.converter.schemas.enable",
        write: Some("false"),
        judge: |_| None,
    },
    Rule {
        key: "key.converter.replace.null.with.default",
        write: Some("false"),
        judge: |value| match value {
            Some("false") => None,
            _ => HIDDEN_NULLS,
        },
    },
    Rule {
        key: "value.converter",
        write: Some(JSON),
        judge: |value| match value {
            Some(JSON) => None,
            _ => OWN_CONVERTER,
        },
    },
    Rule {
        key: "value.converter.schemas.enable",
        write: Some("false"),
        judge: |value| match value {
            Some("false") => None,
            _ => warn("should be false: the schema in every message is most of its bytes"),
        },
    },
    Rule {
        key: "value.converter.replace.null.with.default",
        write: Some("false"),
        judge: |value| match value {
            Some("false") => None,
            _ => HIDDEN_NULLS,
        },
    },
];

/// Adds what is refused to `faults`, gives what is only warned of.
pub fn check(declared: &[Declared], faults: &Faults) -> Vec<String> {
    let mut warnings = Vec::new();
    for connector in declared {
        if connector.get("connector.class").is_none() {
            faults.add(&connector.file, 0, "`connector.class` is missing");
        }
        check_secrets(connector, faults);
        if !connector.is_postgres() {
            continue;
        }
        for rule in &RULES {
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
