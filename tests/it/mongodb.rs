//! MongoDB's documents through the real Kafka into the real engine. MongoDB itself is not run here: the messages are as
//! Debezium's documentation and other people's captures show them.

use serde_json::json;

use crate::support::kafka::Topic;
use crate::support::{Engine, Project};

const JOB: &str = r#"
format = "mongodb-json"
key = ["_id"]

[columns]
_id = "String"
document = { type = "JSON", path = "$" }
city = { type = "Nullable(String)", path = "address.city" }
"address.zip" = { type = "Nullable(String)", from = "json" }
created = "Nullable(DateTime64(3, 'UTC'))"
total = "Nullable(Decimal(38, 2))"
tags = { type = "Array(String)", null = "empty" }

[policy]
lookup_miss = "skip"
out_of_range = "null"
"#;

fn key(id: &str) -> String {
    json!({ "id": id }).to_string()
}

fn change(op: &str, after: Option<&str>) -> String {
    let described = (op == "u").then(|| json!({ "updatedFields": "{\"a\": 1}" }));
    json!({
        "before": null, "after": after, "updateDescription": described,
        "source": { "connector": "mongodb", "ts_ms": 1_739_455_297_970_i64, "db": "shop", "collection": "orders" },
        "op": op, "ts_ms": 1_739_455_298_000_i64,
    })
    .to_string()
}

/// Key text and document of three customers in each spelling of Extended JSON, with one instant and one sum.
const SPELLINGS: [(&str, &str); 3] = [
    (
        r#"{"$oid": "67ab6e1d2c3f4a5b6c7d8e01"}"#,
        r#"{"_id": {"$oid": "67ab6e1d2c3f4a5b6c7d8e01"}, "address": {"city": "Bern", "zip": 3000},
            "created": {"$date": 1739455297970}, "total": {"$numberDecimal": "12.50"}, "tags": ["a", "b"],
            "n": {"$numberLong": "9007199254740993"}, "bin": {"$binary": "AQID", "$type": "00"}}"#,
    ),
    (
        r#"{"$oid": "67ab6e1d2c3f4a5b6c7d8e02"}"#,
        r#"{"_id": {"$oid": "67ab6e1d2c3f4a5b6c7d8e02"}, "address": {"city": "Bern", "zip": {"$numberInt": "3000"}},
            "created": {"$date": {"$numberLong": "1739455297970"}}, "total": {"$numberDecimal": "12.50"}, "tags": ["a", "b"],
            "n": {"$numberLong": "9007199254740993"}, "bin": {"$binary": {"base64": "AQID", "subType": "00"}}}"#,
    ),
    (
        r#"{"$oid":"67ab6e1d2c3f4a5b6c7d8e03"}"#,
        r#"{"_id":{"$oid":"67ab6e1d2c3f4a5b6c7d8e03"},"address":{"city":"Bern","zip":3000},
            "created":{"$date":"2025-02-13T14:01:37.97Z"},"total":{"$numberDecimal":"12.50"},"tags":["a","b"],
            "n":9007199254740993,"bin":{"$binary":{"base64":"AQID","subType":"00"}}}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_every_spelling_and_shape_become_rows() {
    let topic = Topic::create("mongodb", 1).await;
    let project = Project::new("mongodb", &Engine::of_stack()).await;
    let job = format!("topic = \"{}\"\n{JOB}", topic.name);
    project.write("jobs/silver/orders.toml", &job);
    project.succeed(&["check"]);
    project.succeed(&["migrate"]);

    let send = |id: &str, value: &str| topic.send(0, Some(&key(id)), Some(value.as_bytes()));
    for (id, document) in SPELLINGS {
        send(id, &change("r", Some(document)));
    }
    // names that ClickHouse's paths could confuse, values of any type, what has no place in a typed column
    let odd = r#"{"_id":"odd","a.b":1,"a":{"b":2},"$price":3,"":"empty","u":{"$undefined":true},"min":{"$minKey":1},
        "total":{"$numberDecimal":"NaN"},"created":{"$date":{"$numberLong":"9223372036854775807"}},"mixed":[1,"x",{"y":2.5}],"d":NaN}"#;
    send(r#""odd""#, &change("c", Some(odd)));
    // another type in the same places
    send(
        r#""odd2""#,
        &change(
            "c",
            Some(r#"{"_id":"odd2","a":"text","mixed":{"x":1},"address":"none"}"#),
        ),
    );
    for id in ["gone", "deleted", "compacted"] {
        let document = format!(r#"{{"_id":"{id}"}}"#);
        send(&json!(id).to_string(), &change("c", Some(&document)));
    }
    // looked up too late, and then the delete that it was too late for
    send(r#""gone""#, &change("u", None));
    send(r#""gone""#, &change("d", None));
    send(r#""deleted""#, &change("d", None));
    topic.send(0, Some(&key(r#""deleted""#)), None);
    topic.send(0, Some(&key(r#""compacted""#)), None);
    // a text that reads like an ObjectId, a stray quote, a type that no policy lets in
    let text = r#""67ab6e1d2c3f4a5b6c7d8e01""#;
    send(text, &change("c", Some(&format!(r#"{{"_id":{text}}}"#))));
    send(r#""bad""#, &change("c", Some(r#"{"_id":"bad"}""#)));
    send("7", &change("c", Some(r#"{"_id":7}"#)));
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);

    let silver = project.database("silver");
    let rows = |sql: String| async move { Engine::of_stack().rows(&sql).await };
    let found = rows(format!(
        "SELECT _id, city, `address.zip`, created, total, tags, document.n, document.bin FROM {silver}.orders ORDER BY _id FORMAT TSVRaw"
    ))
    .await;
    let same = "Bern\t3000\t2025-02-13 14:01:37.970\t12.5\t['a','b']\t9007199254740993";
    let expected: Vec<String> = (1..=3)
        .map(|n| format!("67ab6e1d2c3f4a5b6c7d8e0{n}\t{same}\t\\N"))
        .chain(["odd\t\\N\t\\N\t\\N\t\\N\t[]\t\\N\t\\N".to_owned()])
        .chain(["odd2\t\\N\t\\N\t\\N\t\\N\t[]\t\\N\t\\N".to_owned()])
        .collect();
    assert_eq!(found, expected);

    let kept = rows(format!(
        "SELECT document FROM {silver}.orders WHERE _id = 'odd' SETTINGS json_type_escape_dots_in_keys = 1 FORMAT TSVRaw"
    ))
    .await;
    let kept: serde_json::Value = serde_json::from_str(&kept[0]).unwrap();
    assert_eq!(
        kept,
        json!({
            "_id": "odd", "a.b": 1, "a": {"b": 2}, "$price": 3, "": "empty", "u": {"$undefined": true}, "min": {"$minKey": 1},
            "total": {"$numberDecimal": "NaN"}, "created": {"$date": {"$numberLong": "9223372036854775807"}},
            "mixed": [1, "x", {"y": 2.5}], "d": {"$numberDouble": "NaN"},
        })
    );
    let binary = rows(format!(
        "SELECT DISTINCT document.bin.`$binary`.base64, document.created.`$date` FROM {silver}.orders WHERE city = 'Bern' FORMAT TSVRaw"
    ))
    .await;
    assert_eq!(binary, ["AQID\t2025-02-13T14:01:37.970Z"]);

    let letters = rows(format!(
        "SELECT reason, column FROM {}.dead_letters ORDER BY offset",
        project.database("ops")
    ))
    .await;
    assert_eq!(
        letters,
        ["ambiguous_id\t_id", "bad_document\t", "bad_value\t_id"]
    );
    // no column was made for any field: the table has what the job declares
    let columns = rows(format!(
        "SELECT name FROM system.columns WHERE database = '{silver}' AND table = 'orders_versions' AND name NOT LIKE '\\_%' ORDER BY position"
    ))
    .await;
    assert_eq!(
        columns,
        [
            "document",
            "city",
            "address.zip",
            "created",
            "total",
            "tags"
        ]
    );
}
