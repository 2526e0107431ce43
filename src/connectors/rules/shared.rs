//! Settings that decide the same for every source.

use super::{Judged, Rule, refuse, warn};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const HIDDEN_NULLS: Judged =
    refuse("must be false: a NULL in a column with a default would arrive as the default");
const OWN_CONVERTER: Judged = refuse(
    "must be set to org.apache.kafka.connect.json.JsonConverter: the worker's own converter has settings nobody checks",
);

pub(super) const RULES: [Rule; 15] = [
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
        key: "binary.handling.mode",
        write: Some("base64"),
        judge: |value| match value {
            None | Some("base64" | "bytes") => None,
            _ => warn("should be base64: silver jobs read bytea from base64"),
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
