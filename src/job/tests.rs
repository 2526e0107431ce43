use super::*;
use crate::column::Type;

pub(crate) fn load(files: &[(&str, &str)]) -> Result<Jobs> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join("jobs").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let config = folder.path().join("bullion.toml");
    std::fs::write(&config, "").unwrap();
    Jobs::load(&Config::load_from(Some(&config), &Default::default()).unwrap())
}

const ORDERS: &str = r#"
topic = "shop.public.orders"
key = ["id"]
time_column = "created"
exclude = ["card_number"]

[policy]
toast = "null"

[columns]
id = "Int64"
amount = "Nullable(Decimal(10, 2))"
created_at = { type = "DateTime64(6, 'UTC')", name = "created", from = "micros" }
"#;

#[test]
fn a_silver_job_is_read_in_the_order_of_its_file() {
    let jobs = load(&[("silver/orders.toml", ORDERS)]).unwrap();
    let job = &jobs.silver[0];
    assert_eq!(job.name, "orders");
    assert_eq!(job.epoch, 1);
    assert_eq!(job.policies.toast, ToastPolicy::Null);
    assert_eq!(job.policies.truncate, TruncatePolicy::Reject);
    let names: Vec<_> = job
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["id", "amount", "created"]);
    assert_eq!(job.columns[2].source, "created_at");
    assert_eq!(job.columns[2].encoding, Encoding::Micros);
    assert_eq!(job.columns[0].kind, Type::Int64);
}

#[test]
fn an_array_takes_null_only_where_the_job_says_as_what() {
    let tags = "id = \"Int64\"\ntags = \"Array(String)\"\nmore = { type = \"Array(String)\", null = \"empty\" }";
    let text = ORDERS.replace("id = \"Int64\"", tags);
    let jobs = load(&[("silver/orders.toml", &text)]).unwrap();
    assert_eq!(jobs.silver[0].columns[1].null, NullPolicy::Reject);
    assert_eq!(jobs.silver[0].columns[2].null, NullPolicy::Empty);
}

#[test]
fn a_flattened_job_says_how_deletes_are_shown_unless_it_has_no_key() {
    let format = "format = \"flattened-json\"\nkey =";
    let text = ORDERS.replace(
        "key =",
        &format!("deletes = \"rewrite\"\nadded_prefix = \"x_\"\n{format}"),
    );
    let jobs = load(&[("silver/orders.toml", &text)]).unwrap();
    let declared = jobs.silver[0].flattened.clone().unwrap();
    assert_eq!(
        (declared.deletes, declared.prefix.as_str()),
        (Deletes::Rewrite, "x_")
    );
    let keyless = ORDERS.replace("key = [\"id\"]", "key = []\nformat = \"flattened-json\"");
    let jobs = load(&[("silver/orders.toml", &keyless)]).unwrap();
    let declared = jobs.silver[0].flattened.clone().unwrap();
    assert_eq!(
        (declared.deletes, declared.prefix.as_str()),
        (Deletes::None, "__")
    );
}

#[test]
fn a_job_without_a_key_says_so() {
    let text = ORDERS.replace("key = [\"id\"]\n", "");
    let error = load(&[("silver/orders.toml", &text)]).unwrap_err();
    assert!(error.to_string().contains("`key` is missing"), "{error}");
}

#[test]
fn three_faults_in_one_job_are_all_reported() {
    let broken = ORDERS
        .replace("key = [\"id\"]", "key = [\"idd\"]")
        .replace("topic =", "topci =")
        .replace("\"Int64\"", "\"Itn64\"");
    let error = load(&[("silver/orders.toml", &broken)])
        .unwrap_err()
        .to_string();
    for expected in [
        "orders.toml: `topic` is missing",
        "orders.toml:2: unknown field `topci`, did you mean `topic`?",
        "orders.toml:3: key field `idd` is not in [columns]",
        "orders.toml:11: unknown type `Itn64`, did you mean `Int64`?",
    ] {
        assert!(error.contains(expected), "{expected}\nnot in\n{error}");
    }
}

#[test]
fn what_clickhouse_or_the_versions_cannot_hold_is_refused() {
    for (from, to, expected) in [
        (
            "id = \"Int64\"",
            "id = \"Nullable(Int64)\"",
            "cannot be a Nullable(Int64)",
        ),
        (
            "id = \"Int64\"",
            "id = \"Int64\"\n_version = \"UInt64\"",
            "collides with bullion's own",
        ),
        (
            "\"created\", from",
            "\"amount\", from",
            "two columns are named `amount`",
        ),
        (
            "from = \"micros\"",
            "from = \"base64\"",
            "cannot be read from base64",
        ),
        (
            "time_column = \"created\"",
            "time_column = \"amount\"",
            "no time",
        ),
        (
            "from = \"micros\"",
            "null = \"empty\"",
            "`null` is for arrays; a DateTime64(6, 'UTC') takes NULL",
        ),
        ("key =", "epoch = 256\nkey =", "from 1 to 255"),
        (
            "key =",
            "format = \"flattened-json\"\nkey =",
            "`deletes` is missing: say how the flattened topic shows a deleted row",
        ),
        (
            "key =",
            "deletes = \"rewrite\"\nkey =",
            "orders.toml:3: `deletes` and `added_prefix` are for flattened formats",
        ),
        (
            "[\"card_number\"]",
            "[\"amount\"]",
            "both in [columns] and in `exclude`",
        ),
    ] {
        let text = ORDERS.replace(from, to);
        let error = load(&[("silver/orders.toml", &text)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{expected}\nnot in\n{error}");
    }
}

#[test]
fn two_jobs_cannot_share_a_topic() {
    let files = [("silver/a.toml", ORDERS), ("silver/b.toml", ORDERS)];
    let error = load(&files).unwrap_err().to_string();
    assert!(error.contains("already belongs to job `a`"), "{error}");
    let shared = |table: &str, epoch: &str| {
        format!("topic = \"t\"\ntable = \"{table}\"\n{epoch}\nkey = []\n[columns]\nx = \"Int64\"\n")
    };
    let (a, b) = (shared("public.a", ""), shared("public.b", ""));
    let jobs = load(&[("silver/a.toml", &a), ("silver/b.toml", &b)]).unwrap();
    assert_eq!(jobs.silver[0].tables, ["public.a"]);
    let error = jobs
        .whole_topics(&jobs.silver[..1])
        .unwrap_err()
        .to_string();
    assert!(error.contains("job b reads topic t"), "{error}");
    let b = shared("b", "epoch = 2");
    let error = load(&[("silver/a.toml", &a), ("silver/b.toml", &b)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("jobs of one topic have one epoch"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("a table is written schema.table"),
        "{error}"
    );
}

#[test]
fn a_misspelt_job_is_answered_with_the_nearest_one() {
    let jobs = load(&[("silver/orders.toml", ORDERS)]).unwrap();
    let error = jobs.select_silver(&["ordres".to_owned()]).unwrap_err();
    assert_eq!(error.advice(), "did you mean `orders`?");
}

#[test]
fn a_job_of_documents_names_paths_and_is_keyed_by_their_id() {
    const DOCUMENTS: &str = r#"
topic = "shop.shop.customers"
format = "mongodb-json"
key = ["_id"]

[columns]
_id = { type = "String", from = "objectid" }
document = { type = "JSON", path = "$" }
city = { type = "Nullable(String)", path = "address.city" }
"#;
    let jobs = load(&[("silver/customers.toml", DOCUMENTS)]).unwrap();
    let columns = &jobs.silver[0].columns;
    let named = |at: usize| (columns[at].name.as_str(), columns[at].source.as_str());
    assert_eq!(named(1), ("document", "$"));
    assert_eq!(named(2), ("city", "address.city"));
    for (from, to, fault) in [
        ("[\"_id\"]", "[]", "the key of MongoDB's documents"),
        (
            "\"address.city\"",
            "\"$\"",
            "two columns are made of the document's `$`",
        ),
        (
            "type = \"JSON\"",
            "type = \"Int64\"",
            "the whole document is a JSON or a String, no Int64",
        ),
        ("mongodb-json", "debezium-json", "`path` is for documents"),
        (
            "mongodb-json",
            "debezium-json",
            "`from = \"objectid\"` is for formats of mongodb",
        ),
    ] {
        let text = DOCUMENTS.replace(from, to);
        let told = load(&[("silver/customers.toml", &text)])
            .unwrap_err()
            .to_string();
        assert!(told.contains(fault), "{told}");
    }
}

#[test]
fn faults_of_column_options_are_all_told() {
    let job = r#"
topic = "t"
key = ["id"]
[policy]
delete = "ignore"
toast = "keep"
[columns]
id = { type = "Int64", mask = "hash" }
a = { type = "String", mask = "hash" }
b = { type = "Int32", mask = "null" }
c = { type = "Int32", mask = "last 4" }
d = { type = "String", mask = "first" }
e = { type = "Int64", from = "plain", cast = true }
f = { type = "Array(Int64)", cast = true }
[constants]
a = { type = "String", value = "x" }
g = { type = "UInt8", value = "256" }
h = "x"
[metadata]
_version = "offset"
i = "time"
j = "header:"
"#;
    let error = load(&[("silver/orders.toml", job)]).unwrap_err();
    let text = error.to_string();
    for told in [
        "`toast = \"keep\"` needs `delete = \"delete\"`",
        "`id`: a hash is a String",
        "`a`: `mask = \"hash\"` needs a key: BULLION_MASK_KEY or BULLION_MASK_KEY_FILE",
        "`b`: `mask = \"null\"` needs a Nullable type",
        "`c`: the end of a text is a String",
        "`d`: `mask` is \"hash\", \"null\" or \"last 4\", not `first`",
        "`e`: `from` says how the value is written already: leave `cast` out",
        "`f`: `cast` is for single values, not for an Array",
        "two columns are named `a`",
        "`256` is no UInt8",
        "`constants.h` is written { type",
        "column `_version` collides with bullion's own",
        "`metadata.i` is timestamp, offset",
        "`metadata.j` is timestamp, offset",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
}

#[test]
fn a_key_is_masked_by_nothing_but_a_hash() {
    let job =
        "topic = \"t\"\nkey = [\"id\"]\n[columns]\nid = { type = \"String\", mask = \"last 2\" }\n";
    let error = load(&[("silver/orders.toml", job)]).unwrap_err();
    assert!(
        error.to_string().contains("masked by a hash only"),
        "{error}"
    );
}
