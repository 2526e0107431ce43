//! Looks at a gold job's SQL without understanding it: how many statements, which parameters.

use std::collections::BTreeSet;

/// What the two parameters of a window are, to the letter: without the zone they would follow the session's.
pub const PARAMETER_TYPE: &str = "DateTime64(3, 'UTC')";

/// What is wrong with a parameter as written; `known` are those that the text may have.
pub fn wrong_parameter(parameter: &Token<'_>, known: &str) -> Option<String> {
    let name = parameter.parameter();
    let inner = parameter.text.trim_matches(['{', '}']);
    let kind = inner.split_once(':').map_or("", |(_, kind)| kind.trim());
    if !matches!(name, "from" | "to") {
        return Some(format!("unknown parameter `{name}`; there are {known}"));
    }
    (kind.replace(' ', "") != PARAMETER_TYPE.replace(' ', "")).then(|| {
        format!("write {{{name}:{PARAMETER_TYPE}}}: another type would cut the window elsewhere")
    })
}

/// What stands in one SQL text outside of strings, quoted names and comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline<'t> {
    /// statements that hold anything
    pub statements: usize,
    pub first_word: String,
    /// `{name:Type}` as written
    pub parameters: Vec<Token<'t>>,
    /// byte at which the first statement ends
    pub end: usize,
}

pub fn outline(text: &str) -> Outline<'_> {
    let mut outline = Outline::default();
    let mut inside_statement = false;
    for token in tokens(text) {
        if token.text == ";" {
            inside_statement = false;
            continue;
        }
        if !inside_statement {
            inside_statement = true;
            outline.statements += 1;
        }
        if outline.first_word.is_empty()
            && token.text.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            outline.first_word = token.text.to_ascii_uppercase();
        }
        if outline.statements == 1 {
            outline.end = token.at + token.text.len();
        }
        if token.text.starts_with('{') {
            outline.parameters.push(token);
        }
    }
    outline
}

/// A word, a string, a quoted name, a parameter, or one sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    pub text: &'t str,
    /// first byte
    pub at: usize,
    /// counted from 1
    pub line: usize,
}

impl Token<'_> {
    /// Of a parameter: what stands before its colon.
    pub fn parameter(&self) -> &str {
        let inner = self.text.trim_matches(['{', '}']);
        inner.split(':').next().unwrap_or(inner).trim()
    }
}

impl Token<'_> {
    /// Of a word or a quoted name: what it names.
    pub fn name(&self) -> Option<String> {
        let first = self.text.chars().next()?;
        match first {
            '`' | '"' => {
                let inner = self.text.strip_prefix(first)?.strip_suffix(first)?;
                Some(inner.replace('\\', ""))
            }
            _ if first.is_alphabetic() || first == '_' => Some(self.text.to_owned()),
            _ => None,
        }
    }
}

/// The columns that stand bare before `<`, `<=`, `>`, `>=` or BETWEEN and a parameter: those that cut the windows.
pub fn compared_columns(text: &str) -> BTreeSet<String> {
    let tokens: Vec<Token<'_>> = tokens(text).collect();
    let compared = |(at, token): (usize, &Token<'_>)| {
        if !token.text.starts_with('{') {
            return None;
        }
        let before = tokens.get(..at)?;
        let (sign, before) = match before {
            [before @ .., sign, equals] if equals.text == "=" => (sign, before),
            [before @ .., sign] => (sign, before),
            [] => return None,
        };
        let compares = matches!(sign.text, "<" | ">") || sign.text.eq_ignore_ascii_case("between");
        before.last().filter(|_| compares)?.name()
    };
    tokens.iter().enumerate().filter_map(compared).collect()
}

/// Everything but blanks and comments.
pub fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let (mut at, mut line) = (0, 1);
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let (whole, _) = rest.split_at(token_length(rest, first));
            let token = Token {
                text: whole,
                at,
                line,
            };
            at += whole.len();
            line += whole.matches('\n').count();
            if !first.is_whitespace() && !is_comment(whole) {
                return Some(token);
            }
        }
    })
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with("--") || rest.starts_with("/*") || rest.starts_with("# ")
}

/// Bytes of the token that `rest` begins with.
fn token_length(rest: &str, first: char) -> usize {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    match first {
        '-' if rest.starts_with("--") => until("\n"),
        '#' if rest.starts_with("# ") => until("\n"),
        '/' if rest.starts_with("/*") => until("*/"),
        '\'' | '"' | '`' => quoted_length(rest, first),
        '{' => until("}"),
        first if first.is_ascii_alphanumeric() || first == '_' => rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len()),
        first => first.len_utf8(),
    }
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_comments_and_quoted_names_hide_what_is_in_them() {
        let text = "-- a; {b:UInt8}\nWITH 'it''s; \\'{c:UInt8}' AS x\nSELECT `;`, {from:DateTime64(3, 'UTC')} /* ; */ ;\n-- the end\n";
        let found = outline(text);
        assert_eq!(found.statements, 1);
        assert_eq!(found.first_word, "WITH");
        let [parameter] = found.parameters[..] else {
            panic!("{found:?}");
        };
        assert_eq!((parameter.line, parameter.parameter()), (3, "from"));
        assert_eq!(parameter.text, "{from:DateTime64(3, 'UTC')}");
        assert!(text[parameter.at..].starts_with(parameter.text));
        assert!(text[..found.end].ends_with("'UTC')}"));
    }

    #[test]
    fn a_column_that_is_compared_with_a_parameter_cuts_the_windows() {
        let found = |text| compared_columns(text).into_iter().collect::<Vec<_>>();
        let from = "{from:DateTime64(3, 'UTC')}";
        let to = "{to:DateTime64(3, 'UTC')}";
        let both =
            format!("SELECT o.id FROM x AS o WHERE o.`paid at`>={from} AND t < {to} /* u */");
        assert_eq!(found(&both), ["paid at", "t"]);
        let between = format!("SELECT 1 FROM x WHERE at between {from} AND {to}");
        assert_eq!(found(&between), ["at"]);
        let none = format!("SELECT {from} FROM x_between(from = {from}) WHERE toDate(at) > {from}");
        assert!(found(&none).is_empty());
        assert!(found(from).is_empty());
    }

    #[test]
    fn a_second_statement_is_seen() {
        assert_eq!(outline("SELECT 1; DROP TABLE x").statements, 2);
        assert_eq!(outline("  -- nothing\n").statements, 0);
    }
}
