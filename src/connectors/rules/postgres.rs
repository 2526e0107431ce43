//! Settings of Debezium's PostgreSQL connector alone.

use super::{Rule, refuse, warn};

pub(super) const RULES: [Rule; 10] = [
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
        key: "interval.handling.mode",
        write: Some("string"),
        judge: |value| match value {
            Some("string") => None,
            _ => warn("should be string: as a number a month is taken for 30.4375 days"),
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
];
