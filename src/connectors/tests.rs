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
    template("shop", "shop", &[TableName::parse("public.orders")])
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
