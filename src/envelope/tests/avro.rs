//! Avro under a registry's schemas: encoded by another implementation, read as the JSON of the same change.

use apache_avro::types::Value;

use super::{columns, message, tell};
use crate::column::Rows;
use crate::envelope::{Decoder, Fate, Schema};
use crate::job::{Encoding, Format, Shape, SilverJob, Wire};

/// As Debezium's connector and Connect's AvroData write it: semantic types in `connect.name`, named types by reference.
const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","namespace":"shop.public.orders","fields":[
  {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
    {"name":"id","type":{"type":"long","connect.default":0},"default":0},
    {"name":"name","type":["null","string"],"default":null},
    {"name":"at","type":["null",{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}],"default":null},
    {"name":"day","type":["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}],"default":null},
    {"name":"price","type":["null",{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
    {"name":"raw","type":["null","bytes"],"default":null},
    {"name":"ratio","type":["null","double"],"default":null},
    {"name":"small","type":["null","float"],"default":null},
    {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},
    {"name":"days","type":["null",{"type":"array","items":["null",{"type":"int","connect.name":"io.debezium.time.Date"}]}],"default":null},
    {"name":"open","type":["null",{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"connect.name":"io.debezium.data.VariableScaleDecimal"}],"default":null},
    {"name":"opens","type":["null",{"type":"array","items":["null","io.debezium.data.VariableScaleDecimal"]}],"default":null}
  ],"connect.name":"shop.public.orders.Value"}],"default":null},
  {"name":"after","type":["null","Value"],"default":null},
  {"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
    {"name":"ts_ms","type":"long"},{"name":"lsn","type":["null","long"],"default":null}]}},
  {"name":"op","type":"string"},
  {"name":"ts_ms","type":["null","long"],"default":null}
],"connect.name":"shop.public.orders.Envelope"}"#;
const KEY: &str = r#"{"type":"record","name":"Key","namespace":"shop.public.orders","fields":[{"name":"id","type":"long"}]}"#;

fn some(branch: u32, value: Value) -> Value {
    Value::Union(branch, Box::new(value))
}

fn null() -> Value {
    some(0, Value::Null)
}

fn record(fields: &[(&str, Value)]) -> Value {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::Record(fields.collect())
}

fn framed(id: u32, schema: &str, value: Value) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse_str(schema).unwrap();
    let datum = apache_avro::to_avro_datum(&parsed, value).unwrap();
    [&[0][..], &id.to_be_bytes(), &datum].concat()
}

fn change(op: &str, after: Option<Value>) -> Vec<u8> {
    let value = record(&[
        ("before", null()),
        ("after", after.map_or_else(null, |row| some(1, row))),
        (
            "source",
            record(&[
                ("ts_ms", Value::Long(1_700_000_000_000)),
                ("lsn", some(1, Value::Long(5))),
            ]),
        ),
        ("op", Value::String(op.to_owned())),
        ("ts_ms", null()),
    ]);
    framed(1, ENVELOPE, value)
}

fn key(id: i64) -> Vec<u8> {
    framed(2, KEY, record(&[("id", Value::Long(id))]))
}

/// 1223456.789, with a scale of its own
fn open() -> Value {
    let value = Value::Bytes(vec![0x48, 0xec, 0x78, 0x15]);
    record(&[("scale", Value::Int(3)), ("value", value)])
}

fn row(name: &str) -> Value {
    let date = |days: i32| some(1, Value::Int(days));
    record(&[
        ("id", Value::Long(7)),
        ("name", some(1, Value::String(name.to_owned()))),
        ("at", some(1, Value::Long(1_529_507_596_945_104))),
        ("day", date(-1)),
        // 123.45
        ("price", some(1, Value::Decimal(vec![0x30, 0x39].into()))),
        ("raw", some(1, Value::Bytes(vec![0, 255]))),
        ("ratio", some(1, Value::Double(f64::NAN))),
        ("small", some(1, Value::Float(0.1))),
        (
            "tags",
            some(
                1,
                Value::Array(vec![some(1, Value::String("a".to_owned())), null()]),
            ),
        ),
        ("days", some(1, Value::Array(vec![date(1), null()]))),
        ("open", some(1, open())),
        (
            "opens",
            some(1, Value::Array(vec![some(1, open()), null()])),
        ),
    ])
}

fn job() -> SilverJob {
    let mut job = columns(
        &["id"],
        &[
            ("id", "Int64"),
            ("name", "Nullable(String)"),
            ("at", "Nullable(DateTime64(6, 'UTC'))"),
            ("day", "Nullable(Date32)"),
            ("price", "Nullable(Decimal(10, 2))"),
            ("raw", "Nullable(String)"),
            ("ratio", "Nullable(Float64)"),
            ("small", "Nullable(Float32)"),
            ("tags", "Array(Nullable(String))"),
            ("days", "Array(Nullable(Date32))"),
            ("open", "Nullable(Decimal(38, 3))"),
            ("opens", "Array(Nullable(String))"),
        ],
    );
    job.format = Format {
        wire: Wire::Avro,
        ..Format::DEBEZIUM_JSON
    };
    job
}

struct Told {
    decoder: Decoder,
    rows: Rows,
}

impl Told {
    fn by(job: &SilverJob, schemas: &[(u32, &str)]) -> Told {
        let mut decoder = Decoder::new(job);
        for (id, text) in schemas {
            decoder.learn_schema(*id, Some(Schema::parse(text).unwrap()));
        }
        Told {
            decoder,
            rows: Rows::new(job),
        }
    }

    fn of(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let message = message(7, key, value);
        assert_eq!(self.decoder.missing_schema(&message), None);
        let fate: Fate = self.decoder.decode(&message, &mut self.rows);
        tell(&fate, &self.rows)
    }
}

const BOTH: [(u32, &str); 2] = [(1, ENVELOPE), (2, KEY)];

#[test]
fn a_change_in_avro_is_the_row_that_its_json_would_be() {
    let mut told = Told::by(&job(), &BOTH);
    let row = told.of(Some(&key(7)), Some(&change("c", Some(row("ü\"\\\n")))));
    assert_eq!(
        row,
        concat!(
            r#"row: {"at":"2018-06-20T15:13:16.945104Z","day":"1969-12-31","days":["1970-01-02",null],"id":7,"#,
            r#""name":"ü\"\\\n","open":"1223456.789","opens":["1223456.789",null],"price":"123.45","ratio":"NaN","raw":"\u0000�","#,
            r#""small":0.1,"tags":["a",null]}"#
        )
    );
}

#[test]
fn deletes_tombstones_and_disagreeing_keys_are_as_in_json() {
    let mut told = Told::by(&job(), &BOTH);
    let empty = |told: &str| told.starts_with("delete: ") && told.contains(r#""id":7"#);
    let deleted = told.of(Some(&key(7)), Some(&change("d", None)));
    assert!(empty(&deleted), "{deleted}");
    let compacted = told.of(Some(&key(7)), None);
    assert!(empty(&compacted), "{compacted}");
    // a key that Connect's JsonConverter or StringConverter wrote
    let json = told.of(Some(br#"{"id":7}"#), Some(&change("d", None)));
    assert!(empty(&json), "{json}");
    let wrong = told.of(Some(&key(8)), Some(&change("c", Some(row("a")))));
    assert_eq!(wrong, "reject: key_mismatch id");
    assert_eq!(
        told.of(Some(&key(7)), Some(&change("c", None))),
        "reject: missing_image"
    );
}

#[test]
fn the_id_may_be_in_a_header_and_the_datum_bare() {
    let mut decoder = Decoder::new(&job());
    for (id, text) in BOTH {
        decoder.learn_schema(id, Some(Schema::parse(text).unwrap()));
    }
    let (key, value) = (key(7), change("d", None));
    let header = |name: &str| match name {
        "apicurio.value.contentId" => Some(1_u64.to_be_bytes().to_vec()),
        "apicurio.key.contentId" => Some(2_u64.to_be_bytes().to_vec()),
        _ => None,
    };
    let mut sent = message(7, Some(&key[5..]), Some(&value[5..]));
    sent.headers = crate::envelope::Headers::of(&header);
    assert_eq!(decoder.missing_schema(&sent), None);
    let mut rows = Rows::new(&job());
    let fate = decoder.decode(&sent, &mut rows);
    let told = tell(&fate, &rows);
    assert!(
        told.starts_with("delete: ") && told.contains(r#""id":7"#),
        "{told}"
    );
}

#[test]
fn a_schema_is_asked_for_once_and_one_that_is_unknown_is_told() {
    let mut decoder = Decoder::new(&job());
    let (key, value) = (key(7), change("c", Some(row("a"))));
    let sent = message(7, Some(&key), Some(&value));
    assert_eq!(decoder.missing_schema(&sent), Some(1));
    decoder.learn_schema(1, Some(Schema::parse(ENVELOPE).unwrap()));
    assert_eq!(decoder.missing_schema(&sent), Some(2));
    decoder.learn_schema(2, None);
    assert_eq!(decoder.missing_schema(&sent), None);
    let mut rows = Rows::new(&job());
    let fate = decoder.decode(&sent, &mut rows);
    assert_eq!(tell(&fate, &rows), "reject: unknown_schema");
    // formats of JSON never ask
    let plain = Decoder::new(&columns(&["id"], &[("id", "Int64")]));
    assert_eq!(plain.missing_schema(&sent), None);
}

#[test]
fn bytes_that_are_not_what_the_schema_says_are_rejected_in_bounded_memory() {
    let mut told = Told::by(&job(), &BOTH);
    let whole = change("c", Some(row("a")));
    for length in 5..whole.len() {
        let cut = told.of(None, Some(&whole[..length]));
        assert_eq!(cut, "reject: bad_avro", "{length}");
    }
    assert_eq!(told.of(None, Some(&whole[..4])), "reject: wrong_encoding");
    assert_eq!(told.of(None, Some(b"{}")), "reject: wrong_encoding");
    assert_eq!(told.of(None, Some(b"")), "reject: empty_value");
    let longer = [whole.as_slice(), b"\0"].concat();
    assert_eq!(told.of(None, Some(&longer)), "reject: bad_avro");
    let cut_key = &key(7)[..5];
    assert_eq!(told.of(Some(cut_key), Some(&whole)), "reject: bad_key");

    // lengths and counts that promise what is not there, and elements of no bytes at all
    let lists_of_nothing = [
        &[0xe0, 0xd4, 0x03],
        &[0x80, 0x10, 0].repeat(30_000)[..],
        &[0],
    ]
    .concat();
    let most = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for (schema, body, reason) in [
        (r#""bytes""#, &most[..], "bad_avro"),
        (r#""string""#, &most[..], "bad_avro"),
        (r#"{"type":"array","items":"long"}"#, &most[..], "bad_avro"),
        (r#"{"type":"array","items":"null"}"#, &most[..], "bad_avro"),
        (
            r#"{"type":"array","items":{"type":"array","items":"null"}}"#,
            &lists_of_nothing[..],
            "too_large",
        ),
        (r#"{"type":"map","values":"null"}"#, &most[..], "bad_avro"),
        (r#"["null","long"]"#, &[4][..], "bad_avro"),
        (r#""long""#, &[0xff; 11][..], "bad_avro"),
        (r#""string""#, &[2, 0xff][..], "bad_utf8"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}"#,
            &[2; 1000][..],
            "too_deep",
        ),
    ] {
        let mut told = Told::by(&job(), &[(1, schema)]);
        let value = [&[0, 0, 0, 0, 1], body].concat();
        assert_eq!(
            told.of(None, Some(&value)),
            format!("reject: {reason}"),
            "{schema}"
        );
    }
}

#[test]
fn a_text_that_is_no_schema_is_told_why() {
    for (text, fault) in [
        ("{", "EOF"),
        (r#""unheard.of""#, "unknown type `unheard.of`"),
        (r#"{"type":"record","name":"R"}"#, "without `fields`"),
        ("7", "no name, list or object"),
    ] {
        let told = Schema::parse(text).unwrap_err();
        assert!(told.contains(fault), "{told}");
    }
    let deep = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(100),
        "}".repeat(100)
    );
    assert!(Schema::parse(&deep).unwrap_err().contains("without end"));
    // each field described by its hundred fields, and those by theirs
    let field = |index: u32| format!(r#"{{"name":"f{index}","type":["null","R"]}}"#);
    let fields: Vec<String> = (0..100).map(field).collect();
    let own = format!(
        r#"{{"type":"record","name":"R","fields":[{}]}}"#,
        fields.join(",")
    );
    let told = Schema::parse(&own).unwrap_err();
    assert!(told.contains("types within types"), "{told}");
}

#[test]
fn a_flattened_row_in_avro_has_its_units_from_the_schema() {
    let schema = r#"{"type":"record","name":"Value","namespace":"shop","fields":[
        {"name":"id","type":"long"},
        {"name":"at","type":["null",{"type":"long","connect.name":"io.debezium.time.Timestamp"}]},
        {"name":"__deleted","type":["null","string"]}]}"#;
    let mut job = columns(
        &["id"],
        &[("id", "Int64"), ("at", "Nullable(DateTime64(3, 'UTC'))")],
    );
    job.format = Format {
        shape: Shape::Flattened,
        wire: Wire::Avro,
    };
    job.flattened = Some(crate::job::Flattened {
        deletes: crate::job::Deletes::Rewrite,
        prefix: "__".to_owned(),
    });
    let mut told = Told::by(&job, &[(1, schema)]);
    let mut of = |deleted: &str| {
        let value = record(&[
            ("id", Value::Long(1)),
            ("at", some(1, Value::Long(1_739_455_297_970))),
            ("__deleted", some(1, Value::String(deleted.to_owned()))),
        ]);
        told.of(None, Some(&framed(1, schema, value)))
    };
    assert_eq!(
        of("false"),
        r#"row: {"at":"2025-02-13T14:01:37.970Z","id":1}"#
    );
    assert_eq!(of("true"), r#"delete: {"at":null,"id":1}"#);
}

#[test]
fn a_document_in_avro_is_a_document() {
    let schema = r#"{"type":"record","name":"Envelope","fields":[
        {"name":"after","type":["null",{"type":"string","connect.name":"io.debezium.data.Json"}]},{"name":"op","type":"string"}]}"#;
    let key_schema = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}"#;
    let mut job = columns(&["_id"], &[("_id", "String"), ("n", "Int64")]);
    job.columns[0].encoding = Encoding::ObjectId;
    job.format = Format {
        shape: Shape::Mongodb,
        wire: Wire::Avro,
    };
    let mut told = Told::by(&job, &[(1, schema), (2, key_schema)]);
    let id = r#"{"$oid":"67ab6e1d2c3f4a5b6c7d8e9f"}"#;
    let key = framed(
        2,
        key_schema,
        record(&[("id", Value::String(id.to_owned()))]),
    );
    let value = record(&[
        (
            "after",
            some(
                1,
                Value::String(format!(r#"{{"_id":{id},"n":{{"$numberLong":"3"}}}}"#)),
            ),
        ),
        ("op", Value::String("c".to_owned())),
    ]);
    let row = told.of(Some(&key), Some(&framed(1, schema, value)));
    assert_eq!(row, r#"row: {"_id":"67ab6e1d2c3f4a5b6c7d8e9f","n":3}"#);
    assert_eq!(
        told.of(Some(&key), None),
        r#"delete: {"_id":"67ab6e1d2c3f4a5b6c7d8e9f","n":0}"#
    );
}
