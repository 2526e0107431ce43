//! How a topic's messages are written: the shape of a change, and its bytes.

/// The words for them in a job file.
pub(super) const FORMATS: [(&str, Format); 6] = [
    ("debezium-json", Format::new(Shape::Envelope, Wire::Json)),
    ("debezium-avro", Format::new(Shape::Envelope, Wire::Avro)),
    ("flattened-json", Format::new(Shape::Flattened, Wire::Json)),
    ("flattened-avro", Format::new(Shape::Flattened, Wire::Avro)),
    ("mongodb-json", Format::new(Shape::Mongodb, Wire::Json)),
    ("mongodb-avro", Format::new(Shape::Mongodb, Wire::Avro)),
];
pub(super) const DELETES: [(&str, Deletes); 3] = [
    ("tombstone", Deletes::Tombstone),
    ("rewrite", Deletes::Rewrite),
    ("none", Deletes::None),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub shape: Shape,
    pub wire: Wire,
}

/// What a message says of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Debezium's envelope: `before`, `after`, `source`, `op`
    Envelope,
    /// the row alone, as Debezium's ExtractNewRecordState leaves it
    Flattened,
    /// the envelope of Debezium's MongoDB connector, whose documents are text
    Mongodb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// with or without the embedded schema
    Json,
    /// Confluent's framing, the schema in a registry
    Avro,
}

impl Format {
    pub const DEBEZIUM_JSON: Format = Format::new(Shape::Envelope, Wire::Json);

    const fn new(shape: Shape, wire: Wire) -> Format {
        Format { shape, wire }
    }

    /// The word for it in a job file.
    pub fn as_str(self) -> &'static str {
        let found = FORMATS.iter().find(|(_, format)| *format == self);
        found.map_or("debezium-json", |(word, _)| word)
    }
}

/// What a flattened topic's messages mean beyond their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flattened {
    pub deletes: Deletes,
    /// before the names of fields that the connector added, its `add.fields.prefix`
    pub prefix: String,
}

impl Flattened {
    /// Debezium's default.
    pub const PREFIX: &'static str = "__";
}

/// How a flattened topic shows that a row was deleted. Without a declaration it could not be told from one that never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// a null value: modes `tombstone` and `delete-to-tombstone`; before 3.2, `drop.tombstones=false` or `delete.handling.mode=none`
    Tombstone,
    /// the row with `__deleted`, which every message then has: modes `rewrite` and `rewrite-with-tombstone`
    Rewrite,
    /// not at all: mode `drop`; deleted rows stay in silver
    None,
}
