//! Literals out of SQL, and out of the expressions that ClickHouse prints.

use super::LEFT_OUT;

/// Names of types; digits may follow.
const TYPES: [&str; 22] = [
    "Int",
    "UInt",
    "Float",
    "BFloat",
    "Decimal",
    "Date",
    "DateTime",
    "Time",
    "Bool",
    "String",
    "FixedString",
    "UUID",
    "IPv",
    "Enum",
    "Nullable",
    "LowCardinality",
    "Array",
    "Tuple",
    "Map",
    "JSON",
    "Variant",
    "Dynamic",
];

/// Numbers and quoted texts become `…`; names, types and their arguments stay. `None` where a quote is not closed, so that
/// nobody can tell what is a literal.
pub fn without_literals(sql: &str) -> Option<String> {
    let mut told = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => {
                let end = end_of_quoted(rest)?;
                let text = rest.get(1..end - 1)?;
                told.push('\'');
                told.push_str(if is_type(text) { text } else { LEFT_OUT });
                told.push('\'');
                end
            }
            // a name, whatever it holds
            '`' | '"' => {
                let end = end_of_quoted(rest)?;
                told.push_str(rest.get(..end)?);
                end
            }
            _ if first.is_ascii_digit() => {
                told.push_str(LEFT_OUT);
                end_of_number(rest)
            }
            _ if is_of_word(first) => {
                let word = end_of_word(rest);
                let end = word + end_of_arguments(rest.get(..word)?, rest.get(word..)?);
                told.push_str(rest.get(..end)?);
                end
            }
            _ => {
                told.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(taken..)?;
    }
    Some(told)
}

/// The same for a sentence, whose quotes may be apostrophes: only numbers go.
pub fn without_numbers(sentence: &str) -> String {
    let words = sentence.split_inclusive(|character| !is_of_word(character));
    words
        .map(|word| match word.find(|character| !is_of_word(character)) {
            _ if !word.starts_with(|first: char| first.is_ascii_digit()) => word.to_owned(),
            Some(end) => [LEFT_OUT, word.get(end..).unwrap_or_default()].concat(),
            None => LEFT_OUT.to_owned(),
        })
        .collect()
}

/// Whether it is the text of a type such as `Decimal(9, 2)`.
pub fn is_type(text: &str) -> bool {
    let (name, arguments) = text.split_at(end_of_word(text));
    is_type_name(name) && arguments.len() == end_of_arguments(name, arguments)
}

fn is_type_name(word: &str) -> bool {
    let known = word.trim_end_matches(|character: char| character.is_ascii_digit());
    TYPES.contains(&known)
}

/// `(9, 2)` behind the name of a type is no data.
fn end_of_arguments(name: &str, rest: &str) -> usize {
    let inner = rest.strip_prefix('(').filter(|_| is_type_name(name));
    let arguments = inner.and_then(|inner| Some(inner.split_once(')')?.0));
    let plain = |character: char| character.is_ascii_digit() || ", ".contains(character);
    match arguments {
        Some(arguments) if arguments.chars().all(plain) => arguments.len() + 2,
        _ => 0,
    }
}

/// Behind the closing quote; a backslash, or the quote itself, keeps one open.
fn end_of_quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    characters.next();
                }
                _ => return Some(at + quote.len_utf8()),
            }
        }
    }
    None
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn end_of_word(text: &str) -> usize {
    text.find(|character| !is_of_word(character))
        .unwrap_or(text.len())
}

/// Digits, a point, an exponent.
fn end_of_number(text: &str) -> usize {
    let of_number = |character: char| character.is_ascii_alphanumeric() || character == '.';
    text.find(|character| !of_number(character))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_stay_and_literals_go() {
        for (sql, told) in [
            (
                "SELECT nope FROM m.t WHERE (note = 'it\\'s') AND (id IN (17, 1.5e3))",
                "SELECT nope FROM m.t WHERE (note = '…') AND (id IN (…, …))",
            ),
            (
                "CAST(__table1.note, 'Nullable(Decimal(9, 2))'_String, 3_UInt8) DateTime64(3)",
                "CAST(__table1.note, '…'_String, …_UInt8) DateTime64(3)",
            ),
            (
                "CAST(`no 5`, 'Int32'_String)",
                "CAST(`no 5`, 'Int32'_String)",
            ),
            ("x = 'a''b' AND y2 = -0x1F", "x = '…' AND y2 = -…"),
            ("x = 'Integrity'", "x = '…'"),
        ] {
            assert_eq!(without_literals(sql).as_deref(), Some(told), "{sql}");
        }
        assert_eq!(without_literals("x = 'not closed"), None);
    }
}
