//! Settings of Debezium's MySQL and MariaDB connectors alone.

use super::{Rule, refuse, warn};

pub(super) const RULES: [Rule; 8] = [
    Rule {
        key: "database.server.id",
        write: None,
        judge: |value| match value {
            Some(_) => None,
            None => refuse(
                "must be given, a number of its own: of two readers with one number the server cuts off the earlier one",
            ),
        },
    },
    Rule {
        key: "bigint.unsigned.handling.mode",
        write: Some("precise"),
        judge: |value| match value {
            Some("precise") => None,
            _ => refuse("must be precise: long, the default, wraps what is beyond 2^63"),
        },
    },
    Rule {
        key: "inconsistent.schema.handling.mode",
        write: Some("fail"),
        judge: |value| match value {
            None | Some("fail") => None,
            _ => refuse(
                "must be fail: otherwise changes of a table whose schema is not known are passed over",
            ),
        },
    },
    Rule {
        key: "schema.history.internal.kafka.topic",
        write: None,
        judge: |value| match value {
            Some(_) => None,
            None => refuse(
                "must be given: without its own history of the tables' schemas a connector cannot read the log after a restart",
            ),
        },
    },
    Rule {
        key: "schema.history.internal.skip.unparseable.ddl",
        write: Some("false"),
        judge: |value| match value {
            None | Some("false") => None,
            _ => refuse(
                "must be false: after a statement that was passed over, rows are read by columns that they do not have",
            ),
        },
    },
    Rule {
        key: "snapshot.locking.mode",
        write: None,
        judge: |value| match value {
            Some("none") => warn(
                "is none: a table that is altered during the snapshot is read by the wrong columns",
            ),
            _ => None,
        },
    },
    Rule {
        key: "heartbeat.interval.ms",
        write: Some("10000"),
        judge: |value| match value.map(str::parse::<u64>) {
            Some(Ok(interval)) if interval > 0 => None,
            _ => refuse(
                "must be more than 0, such as 10000: without heartbeats a quiet table's place in the log is not remembered \
until the server has purged it, and nobody can tell quiet from late",
            ),
        },
    },
    Rule {
        key: "time.precision.mode",
        write: Some("microseconds"),
        judge: |value| match value {
            Some("microseconds") => None,
            Some("connect") => refuse("must be microseconds: connect cuts times to milliseconds"),
            Some("isostring") => {
                refuse("must be microseconds: isostring turns a time beyond 24 hours into NULL")
            }
            _ => warn(
                "should be microseconds, which `bullion new silver` assumes: elsewhere the unit depends on the column, and \
each job must name it (`from = \"millis\"`)",
            ),
        },
    },
];
