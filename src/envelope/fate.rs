//! What becomes of a message: exactly one of four, and the closed sets of why.

use crate::error::Error;

#[derive(Debug)]
pub enum Fate {
    /// one row was appended
    Row,
    /// an intended no-op, counted by reason
    Skip(Skip),
    /// a dead letter
    Reject(Reject),
    /// the job stops
    Fail(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// no value, and no key whose row it could delete
    Tombstone,
    /// the same, spelled `null` or `{"payload":null}`
    NullValue,
    Heartbeat,
    /// BEGIN and END of a source transaction
    Transaction,
    SchemaChange,
    /// `pg_logical_emit_message`
    LogicalMessage,
    /// an update of a document that was gone when the connector looked it up
    LookupMiss,
    /// a truncate that the job's policy ignores
    Truncate,
    /// a delete that the job's policy ignores
    DeleteIgnored,
    /// a change of a table that another job names
    OtherTable,
}

impl Skip {
    pub const fn as_str(self) -> &'static str {
        match self {
            Skip::Tombstone => "tombstone",
            Skip::NullValue => "null_value",
            Skip::Heartbeat => "heartbeat",
            Skip::Transaction => "transaction",
            Skip::SchemaChange => "schema_change",
            Skip::LogicalMessage => "logical_message",
            Skip::LookupMiss => "lookup_miss",
            Skip::Truncate => "truncate",
            Skip::DeleteIgnored => "delete_ignored",
            Skip::OtherTable => "other_table",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub reason: Reason,
    /// the source field it is about, where it is about one
    pub column: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    EmptyValue,
    BadJson,
    BadUtf8,
    /// the registry's framing, or an image that is no JSON object
    WrongEncoding,
    UnknownOp,
    /// `c`, `u` or `r` without `after`
    MissingImage,
    /// a delete that does not say of which row
    UnkeyedDelete,
    /// an update in a table without a key: nothing says which row it replaces
    UnkeyedUpdate,
    NullKey,
    /// the Kafka key is no JSON object
    BadKey,
    /// Kafka key and row disagree, or the Kafka key has fields that the job's key lacks
    KeyMismatch,
    ToastPlaceholder,
    OutOfRange,
    PrecisionLoss,
    BadDecimal,
    /// a value of another type than declared
    BadValue,
    /// NULL for a column that is not Nullable
    NullValue,
    UnknownColumn,
    MissingColumn,
    /// the source has changed the type of a column: see `new_column`
    TypeChanged,
    DuplicateField,
    Truncate,
    TooLarge,
    TooDeep,
    /// a bare number for a date or time, and nothing that tells its unit
    UnitUnknown,
    /// an update that tells what changed in a document, but not the document
    PatchOnly,
    /// the schema registry has no schema of the message's id, or none that is Avro
    UnknownSchema,
    /// bytes that are not what their schema describes
    BadAvro,
    /// a document whose text is no Extended JSON
    BadDocument,
    /// an id that is a text, in a column where ObjectIds read the same
    AmbiguousId,
    /// an offset that the version cannot hold
    BadOffset,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::EmptyValue => "empty_value",
            Reason::BadJson => "bad_json",
            Reason::BadUtf8 => "bad_utf8",
            Reason::WrongEncoding => "wrong_encoding",
            Reason::UnknownOp => "unknown_op",
            Reason::MissingImage => "missing_image",
            Reason::UnkeyedDelete => "unkeyed_delete",
            Reason::UnkeyedUpdate => "unkeyed_update",
            Reason::NullKey => "null_key",
            Reason::BadKey => "bad_key",
            Reason::KeyMismatch => "key_mismatch",
            Reason::ToastPlaceholder => "toast_placeholder",
            Reason::OutOfRange => "out_of_range",
            Reason::PrecisionLoss => "precision_loss",
            Reason::BadDecimal => "bad_decimal",
            Reason::BadValue => "bad_value",
            Reason::NullValue => "null_value",
            Reason::UnknownColumn => "unknown_column",
            Reason::MissingColumn => "missing_column",
            Reason::TypeChanged => "type_changed",
            Reason::DuplicateField => "duplicate_field",
            Reason::Truncate => "truncate",
            Reason::TooLarge => "too_large",
            Reason::TooDeep => "too_deep",
            Reason::UnitUnknown => "unit_unknown",
            Reason::PatchOnly => "patch_only",
            Reason::UnknownSchema => "unknown_schema",
            Reason::BadAvro => "bad_avro",
            Reason::BadDocument => "bad_document",
            Reason::AmbiguousId => "ambiguous_id",
            Reason::BadOffset => "bad_offset",
        }
    }
}
