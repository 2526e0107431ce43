//! Names and texts as SQL writes them.

/// Quotes an identifier; the only place where a name becomes SQL.
pub fn quote(identifier: &str) -> String {
    let mut quoted = String::with_capacity(identifier.len() + 2);
    quoted.push('`');
    for character in identifier.chars() {
        if matches!(character, '`' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('`');
    quoted
}

/// Quotes a string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_literals_cannot_leave_their_quotes() {
        assert_eq!(quote("x`; DROP TABLE y; --"), "`x\\`; DROP TABLE y; --`");
        assert_eq!(quote("a\\"), "`a\\\\`");
        assert_eq!(literal("it's \\ fine"), "'it\\'s \\\\ fine'");
    }
}
