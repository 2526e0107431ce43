//! Keys as conditions.

pub(super) fn tuple(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        parts => format!("({})", parts.join(", ")),
    }
}

/// `(a, b) > (x, y)` as `(a > x OR (a = x AND (b > y)))`, which the primary index understands.
pub(super) fn beyond(names: &[String], literals: &[String], strict: &str, last: &str) -> String {
    let (Some((name, names)), Some((literal, literals))) =
        (names.split_first(), literals.split_first())
    else {
        return "1".to_owned();
    };
    if names.is_empty() {
        return format!("({name} {last} {literal})");
    }
    let rest = beyond(names, literals, strict, last);
    format!("({name} {strict} {literal} OR ({name} = {literal} AND {rest}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_several_columns_is_told_column_by_column() {
        let texts = |texts: [&str; 2]| texts.map(str::to_owned);
        assert_eq!(
            beyond(&texts(["a", "b"]), &texts(["1", "2"]), "<", "<="),
            "(a < 1 OR (a = 1 AND (b <= 2)))"
        );
    }
}
