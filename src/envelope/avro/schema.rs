//! A writer's schema: what the bytes are, and what Kafka Connect meant by them.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::{Value, json};

/// Longer schemas are refused unread: a row of a thousand columns has a tenth of it.
const LARGEST_SCHEMA: usize = 4 << 20;
/// Types within types; named types may be recursive, their definitions are not.
const MOST_LEVELS: u32 = 64;
/// Types described to the decoder: a named type is described wherever it is used, so a record of a hundred fields of its
/// own type would be described without end. A thousand columns of structs, in `before` and `after`, are a tenth of it.
const MOST_DESCRIBED: usize = 100_000;

/// One type, its parts by their place in [`Schema::nodes`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// `int` and `long` have the same bytes
    Whole,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    String,
    /// symbols as JSON strings
    Enum(Vec<Vec<u8>>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    /// `"name":` and type of each field
    Record(Vec<(Vec<u8>, usize)>),
}

#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) nodes: Vec<Node>,
    pub(super) root: usize,
    /// `{"schema":…,"payload":` as Connect's JsonConverter would write it, as far as the decoder reads it
    pub(super) prefix: Vec<u8>,
}

impl Schema {
    /// Reads the text that a registry answered; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Schema, String> {
        if text.len() > LARGEST_SCHEMA {
            return Err(format!("a schema of {} bytes", text.len()));
        }
        let raw: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut parser = Parser::default();
        let root = parser.node(&raw, "", 0)?;
        let connect = parser.connect(&raw, "", 0);
        if parser.described.get() > MOST_DESCRIBED {
            return Err(format!("more than {MOST_DESCRIBED} types within types"));
        }
        Ok(Schema {
            nodes: parser.nodes,
            root,
            prefix: format!("{{\"schema\":{connect},\"payload\":").into_bytes(),
        })
    }
}

#[derive(Default)]
struct Parser<'a> {
    nodes: Vec<Node>,
    /// by full name
    named: HashMap<String, Definition<'a>>,
    /// types that [`Parser::connect`] has described
    described: Cell<usize>,
}

/// Place and text of a named type, with the namespace it stands in.
type Definition<'a> = (usize, &'a Value, String);

impl<'a> Parser<'a> {
    fn node(&mut self, raw: &'a Value, space: &str, level: u32) -> Result<usize, String> {
        if level > MOST_LEVELS {
            return Err("types within types without end".to_owned());
        }
        let object = match raw {
            Value::String(name) => return self.by_name(name, space),
            Value::Array(branches) => {
                let branches = branches.iter();
                let union: Result<_, _> = branches
                    .map(|branch| self.node(branch, space, level + 1))
                    .collect();
                return Ok(self.add(Node::Union(union?)));
            }
            Value::Object(object) => object,
            _ => return Err("a type that is no name, list or object".to_owned()),
        };
        let part = |name: &str| {
            let found = object.get(name);
            found.ok_or_else(|| format!("a type without `{name}`"))
        };
        let kind = match part("type")? {
            Value::String(kind) => kind.as_str(),
            nested => return self.node(nested, space, level + 1),
        };
        match kind {
            "array" => {
                let items = self.node(part("items")?, space, level + 1)?;
                Ok(self.add(Node::Array(items)))
            }
            "map" => {
                let values = self.node(part("values")?, space, level + 1)?;
                Ok(self.add(Node::Map(values)))
            }
            "record" | "error" | "enum" | "fixed" => {
                let (full, inner) = name_of(raw, space);
                let place = self.add(Node::Null);
                self.named.insert(full, (place, raw, inner.clone()));
                let node = match kind {
                    "enum" => {
                        let symbols = part("symbols")?.as_array().map_or(&[][..], Vec::as_slice);
                        let text = |symbol: &Value| symbol.to_string().into_bytes();
                        Node::Enum(symbols.iter().map(text).collect())
                    }
                    "fixed" => {
                        let size = part("size")?.as_u64().and_then(|size| size.try_into().ok());
                        Node::Fixed(size.ok_or("a fixed type without a size")?)
                    }
                    _ => self.record(part("fields")?, &inner, level)?,
                };
                if let Some(known) = self.nodes.get_mut(place) {
                    *known = node;
                }
                Ok(place)
            }
            name => self.by_name(name, space),
        }
    }

    fn record(&mut self, fields: &'a Value, space: &str, level: u32) -> Result<Node, String> {
        let mut parts = Vec::new();
        for field in fields.as_array().ok_or("fields that are no list")? {
            let name = field.get("name").and_then(Value::as_str);
            let literal = format!("{}:", Value::from(name.ok_or("a field without a name")?));
            let kind = field.get("type").ok_or("a field without a type")?;
            parts.push((literal.into_bytes(), self.node(kind, space, level + 1)?));
        }
        Ok(Node::Record(parts))
    }

    fn by_name(&mut self, name: &str, space: &str) -> Result<usize, String> {
        let node = match name {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" | "long" => Node::Whole,
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes,
            "string" => Node::String,
            name => {
                let found = self.definition(name, space);
                return found
                    .map(|(place, _, _)| *place)
                    .ok_or_else(|| format!("the unknown type `{name}`"));
            }
        };
        Ok(self.add(node))
    }

    fn definition(&self, name: &str, space: &str) -> Option<&Definition<'a>> {
        let inside = self.named.get(&format!("{space}.{name}"));
        inside.or_else(|| self.named.get(name))
    }

    /// The definition that a name stands for, where it is no kind of type of Avro's own.
    fn reference(&self, name: &str, space: &str) -> Option<&Definition<'a>> {
        const KINDS: [&str; 6] = ["record", "error", "enum", "fixed", "array", "map"];
        if KINDS.contains(&name) {
            return None;
        }
        self.definition(name, space)
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The type as Connect describes it in JSON. The decoder looks at the row's fields, so that is as deep as it goes.
    fn connect(&self, raw: &Value, space: &str, level: u32) -> Value {
        /// envelope, image, column, element
        const DEEPEST: u32 = 4;
        self.described.set(self.described.get() + 1);
        if level > DEEPEST || self.described.get() > MOST_DESCRIBED {
            return json!({});
        }
        match raw {
            Value::Array(branches) => {
                let some = branches.iter().find(|branch| *branch != "null");
                let mut described = some.map_or(json!({}), |one| self.connect(one, space, level));
                if let Value::Object(described) = &mut described {
                    let optional = branches.iter().any(|branch| branch == "null");
                    described.insert("optional".to_owned(), optional.into());
                }
                described
            }
            Value::String(name) => match self.reference(name, space) {
                Some((_, definition, space)) => self.connect(definition, space, level),
                None => json!({ "type": connect_type(name) }),
            },
            Value::Object(object) => {
                let mut described = match object.get("type") {
                    Some(Value::String(kind)) => match self.reference(kind, space) {
                        Some((_, definition, space)) => self.connect(definition, space, level),
                        None => json!({ "type": connect_type(kind) }),
                    },
                    Some(nested) => self.connect(nested, space, level),
                    None => json!({}),
                };
                if let Value::Object(described) = &mut described {
                    self.describe(raw, object, space, level, described);
                }
                described
            }
            _ => json!({}),
        }
    }

    fn describe(
        &self,
        raw: &Value,
        object: &Object,
        space: &str,
        level: u32,
        described: &mut Object,
    ) {
        if let Some(fields) = object.get("fields").and_then(Value::as_array) {
            let (_, inner) = name_of(raw, space);
            let field = |field: &Value| {
                let kind = field.get("type").unwrap_or(&Value::Null);
                let mut described = self.connect(kind, &inner, level + 1);
                if let (Value::Object(described), Some(name)) = (&mut described, field.get("name"))
                {
                    described.insert("field".to_owned(), name.clone());
                }
                described
            };
            described.insert("fields".to_owned(), fields.iter().map(field).collect());
        }
        for part in ["items", "values"] {
            if let Some(inner) = object.get(part) {
                described.insert(part.to_owned(), self.connect(inner, space, level + 1));
            }
        }
        for (part, value) in meaning(object) {
            described.insert(part.to_owned(), value);
        }
    }
}

type Object = serde_json::Map<String, Value>;

/// Full name of a named type, and the namespace that its parts stand in.
fn name_of(raw: &Value, space: &str) -> (String, String) {
    let text = |part: &str| raw.get(part).and_then(Value::as_str);
    let name = text("name").unwrap_or_default();
    match name.rsplit_once('.') {
        Some((inner, _)) => (name.to_owned(), inner.to_owned()),
        None => {
            let inner = text("namespace").unwrap_or(space);
            (format!("{inner}.{name}"), inner.to_owned())
        }
    }
}

fn connect_type(avro: &str) -> &str {
    match avro {
        "int" => "int32",
        "long" => "int64",
        "record" | "error" => "struct",
        "enum" => "string",
        "fixed" => "bytes",
        same => same,
    }
}

/// What Connect noted in the schema; where nobody did, what Avro's own logical type says.
fn meaning(object: &Object) -> Vec<(&'static str, Value)> {
    const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    let own = match object.get("logicalType").and_then(Value::as_str) {
        Some("decimal") => Some(DECIMAL),
        Some("date") => Some("io.debezium.time.Date"),
        Some("time-millis") => Some("io.debezium.time.Time"),
        Some("time-micros") => Some("io.debezium.time.MicroTime"),
        Some("timestamp-millis" | "local-timestamp-millis") => Some("io.debezium.time.Timestamp"),
        Some("timestamp-micros" | "local-timestamp-micros") => {
            Some("io.debezium.time.MicroTimestamp")
        }
        Some("timestamp-nanos" | "local-timestamp-nanos") => Some("io.debezium.time.NanoTimestamp"),
        _ => None,
    };
    let digits = || {
        let number = |name: &str| object.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (scale, precision) = (number("scale"), number("precision"));
        json!({ "scale": scale.to_string(), "connect.decimal.precision": precision.to_string() })
    };
    let noted = |part: &str| object.get(part).cloned();
    [
        ("type", noted("connect.type")),
        ("name", noted("connect.name").or(own.map(Value::from))),
        (
            "parameters",
            noted("connect.parameters").or((own == Some(DECIMAL)).then(digits)),
        ),
    ]
    .into_iter()
    .filter_map(|(part, value)| Some((part, value?)))
    .collect()
}
