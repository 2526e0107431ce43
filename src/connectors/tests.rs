use super::*;
use crate::catalog::TableName;

fn declared(name: &str, text: &str) -> Declared {
    let faults = Faults::default();
    let file = PathBuf::from(format!("{name}.json"));
    let config = parse(&file, text, &faults).expect("a JSON object");
    Declared {
        name: name.to_owned(),
        file,
        text: text.to_owned(),
        config,
    }
}

fn shop() -> String {
    let server = Server::Postgres { database: "shop" };
    template("shop", server, &[TableName::parse("public.orders")])
}

fn mysql() -> String {
    let tables = ["shop.orders", "shop.items"].map(TableName::parse);
    template("shop", Server::MariaDb, &tables)
}

fn judged(text: &str) -> (Vec<String>, Vec<String>) {
    let faults = Faults::default();
    let warnings = check(&[declared("shop", text)], &faults);
    let faults = faults.into_sorted();
    (faults.iter().map(ToString::to_string).collect(), warnings)
}

#[test]
fn the_template_passes_its_own_rules() {
    assert_eq!(judged(&shop()), (vec![], vec![]));
    assert_eq!(judged(&mysql()), (vec![], vec![]));
}

#[test]
fn each_setting_that_loses_data_of_mysql_is_refused_where_it_stands() {
    for (setting, harmful) in [
        ("bigint.unsigned.handling.mode", "long"),
        ("decimal.handling.mode", "double"),
        ("time.precision.mode", "isostring"),
        ("skipped.operations", "t"),
        ("heartbeat.interval.ms", "0"),
        ("inconsistent.schema.handling.mode", "skip"),
        ("schema.history.internal.skip.unparseable.ddl", "true"),
        ("value.converter.replace.null.with.default", "true"),
        ("database.password", "hunter2"),
    ] {
        let (faults, _) = judged(&with(&mysql(), setting, harmful));
        assert_eq!(faults.len(), 1, "{setting}: {faults:?}");
        let refused = format!("`{setting}`");
        assert!(faults[0].contains(&refused), "{faults:?}");
    }
    for missing in ["database.server.id", "schema.history.internal.kafka.topic"] {
        let without: Vec<String> = mysql()
            .lines()
            .filter(|line| !line.contains(missing))
            .map(str::to_owned)
            .collect();
        let (faults, _) = judged(&without.join("\n"));
        assert!(faults[0].contains(missing), "{faults:?}");
    }
}

#[test]
fn two_connectors_never_share_a_number_or_a_history() {
    let faults = Faults::default();
    let second = with(&mysql(), "topic.prefix", "two");
    check(
        &[declared("one", &mysql()), declared("two", &second)],
        &faults,
    );
    let faults: Vec<String> = faults
        .into_sorted()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("database.server.id"), "{faults:?}");
    assert!(
        faults[1].contains("schema.history.internal.kafka.topic"),
        "{faults:?}"
    );
}

#[test]
fn each_setting_that_loses_data_is_refused_where_it_stands() {
    for (setting, harmful) in [
        ("value.converter.replace.null.with.default", "true"),
        ("decimal.handling.mode", "double"),
        ("time.precision.mode", "connect"),
        ("skipped.operations", "t"),
        ("heartbeat.interval.ms", "0"),
        ("snapshot.mode", "initial_only"),
        ("publication.autocreate.mode", "all_tables"),
        ("errors.tolerance", "all"),
        ("event.processing.failure.handling.mode", "skip"),
        ("slot.drop.on.stop", "true"),
        ("database.password", "hunter2"),
    ] {
        let text = with(&shop(), setting, harmful);
        let line = text
            .lines()
            .position(|line| line.contains(&format!("\"{setting}\"")));
        let (faults, _) = judged(&text);
        assert_eq!(faults.len(), 1, "{setting}: {faults:?}");
        let expected = format!("shop.json:{}: `{setting}`", line.unwrap() + 1);
        assert!(faults[0].starts_with(&expected), "{faults:?}");
        assert!(!faults[0].contains("hunter2"), "a secret is never shown");
    }
}

#[test]
fn what_only_costs_is_warned_of() {
    let (faults, warnings) = judged(&with(&shop(), "decimal.handling.mode", "precise"));
    assert_eq!(faults, Vec::<String>::new());
    assert!(warnings[0].contains("unscaled"), "{warnings:?}");
}

#[test]
fn two_connectors_never_share_a_slot() {
    let faults = Faults::default();
    let second = with(
        &with(&shop(), "topic.prefix", "two"),
        "publication.name",
        "two",
    );
    check(
        &[declared("one", &shop()), declared("two", &second)],
        &faults,
    );
    let faults = faults.into_sorted();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("also that of connector `one`"));
}

fn with(text: &str, setting: &str, value: &str) -> String {
    text.lines()
        .map(|line| match line.contains(&format!("\"{setting}\":")) {
            true => format!("  \"{setting}\": \"{value}\","),
            false => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
        .replace(",\n}", "\n}")
}
