//! Just enough of SQL's surface to route a request: which kind of statement it is, where an INSERT's data begins, and
//! which output format it names. The engine's own parser decides everything else.

use super::token::{Shape, tokens};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// may be streamed
    Select,
    /// `INSERT … [VALUES | FORMAT name]` with its data behind it
    Insert(Inline),
    Kill,
    Other,
}

/// `text[..head]` is the statement, `text[data..]` the first of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    pub head: usize,
    pub format: String,
    pub data: usize,
}

impl Statement {
    pub fn of(text: &[u8]) -> Statement {
        let Some(first) = tokens(text).next() else {
            return Statement::Other;
        };
        if first.is("SELECT") || first.is("WITH") {
            Statement::Select
        } else if first.is("INSERT") {
            inline(text).map_or(Statement::Other, Statement::Insert)
        } else if first.is("KILL") {
            Statement::Kill
        } else {
            Statement::Other
        }
    }
}

/// The data of an INSERT, unless it takes its rows from a SELECT or a file.
fn inline(text: &[u8]) -> Option<Inline> {
    let mut tokens = tokens(text).skip(1).peekable();
    tokens.next_if(|token| token.is("INTO"));
    tokens.next_if(|token| token.is("TABLE"));
    tokens.next_if(|token| token.is("FUNCTION"));
    let mut end = tokens.next()?.end();
    while tokens
        .next_if(|token| token.shape == Shape::Symbol(b'.'))
        .is_some()
    {
        end = tokens.next()?.end();
    }
    let mut depth = 0usize;
    while let Some(token) = tokens.next() {
        match token.shape {
            Shape::Symbol(b'(') => depth += 1,
            Shape::Symbol(b')') => depth = depth.saturating_sub(1),
            Shape::Word if depth <= 1 && (token.is("SELECT") || token.is("WITH")) => return None,
            Shape::Word if depth > 0 => {}
            _ if token.is("FROM") || token.is("WATCH") || token.is("EXECUTE") => return None,
            _ if token.is("VALUES") => {
                return Some(Inline {
                    head: token.start,
                    format: String::from("Values"),
                    data: token.end(),
                });
            }
            _ if token.is("FORMAT") => {
                let name = tokens.next()?;
                return Some(Inline {
                    head: token.start,
                    format: String::from_utf8_lossy(name.text).into_owned(),
                    data: data_start(text, name.end()),
                });
            }
            _ => {}
        }
        end = token.end();
    }
    Some(Inline {
        head: end,
        format: String::from("Values"),
        data: text.len(),
    })
}

/// After the format's name: blanks, then at most one line end; the rest is data, byte for byte.
fn data_start(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\x0c')) {
        at += 1;
    }
    if text.get(at) == Some(&b'\r') {
        at += 1;
    }
    if text.get(at) == Some(&b'\n') {
        at += 1;
    }
    at
}

/// The name after the last FORMAT outside of parentheses.
pub fn output_format(text: &[u8]) -> Option<String> {
    let mut depth = 0usize;
    let mut found = None;
    let mut after_format = false;
    for token in tokens(text) {
        match token.shape {
            Shape::Symbol(b'(') => depth += 1,
            Shape::Symbol(b')') => depth = depth.saturating_sub(1),
            Shape::Word if depth == 0 && after_format => {
                found = Some(String::from_utf8_lossy(token.text).into_owned());
            }
            _ => {}
        }
        after_format = depth == 0 && token.is("FORMAT");
    }
    found
}

/// Whether a word stands anywhere outside of quotes and comments.
pub fn mentions(text: &[u8], keyword: &str) -> bool {
    tokens(text).any(|token| token.is(keyword))
}

/// Whether something stands behind the `;` that ends a list of VALUES: the engine would pass over it in silence.
pub fn goes_on(values: &[u8]) -> bool {
    tokens(values)
        .skip_while(|token| token.shape != Shape::Symbol(b';'))
        .any(|token| token.shape != Shape::Symbol(b';'))
}

/// KILL by our query id: libchdb gives its own ids, so ours is each query's `log_comment`. Always ASYNC, as SYNC hangs.
pub fn rewrite_kill(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    let (mut copied, mut has_mode) = (0, false);
    for token in tokens(text) {
        let new: &[u8] = if token.is("query_id") || token.text == b"`query_id`" {
            b"Settings['log_comment']"
        } else if token.is("SYNC") {
            has_mode = true;
            b"ASYNC"
        } else if token.is("FORMAT") && !has_mode {
            has_mode = true;
            b"ASYNC FORMAT"
        } else {
            has_mode |= token.is("ASYNC") || token.is("TEST");
            continue;
        };
        out.extend_from_slice(&text[copied..token.start]);
        out.extend_from_slice(new);
        copied = token.end();
    }
    out.extend_from_slice(&text[copied..]);
    if !has_mode {
        while out
            .last()
            .is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b';')
        {
            out.pop();
        }
        out.extend_from_slice(b" ASYNC");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(text: &str) -> Option<(&str, String, &str)> {
        match Statement::of(text.as_bytes()) {
            Statement::Insert(found) => {
                Some((&text[..found.head], found.format, &text[found.data..]))
            }
            _ => None,
        }
    }

    #[test]
    fn an_insert_is_parted_from_its_data() {
        for (text, head, format, data) in [
            (
                "INSERT INTO t VALUES (1)",
                "INSERT INTO t ",
                "Values",
                " (1)",
            ),
            (
                "insert into `a b`.\"t\" (x, y) format CSV\n1,2\n",
                "insert into `a b`.\"t\" (x, y) ",
                "CSV",
                "1,2\n",
            ),
            (
                "/* format */ INSERT INTO values SETTINGS a='format' FORMAT Native \r\n\n",
                "/* format */ INSERT INTO values SETTINGS a='format' ",
                "Native",
                "\n",
            ),
            (
                "INSERT INTO FUNCTION file('x', 'CSV') VALUES (1)",
                "INSERT INTO FUNCTION file('x', 'CSV') ",
                "Values",
                " (1)",
            ),
            ("INSERT INTO t (a)", "INSERT INTO t (a)", "Values", ""),
        ] {
            assert_eq!(
                insert(text),
                Some((head, format.to_owned(), data)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_insert_that_takes_rows_from_elsewhere_has_no_data() {
        for text in [
            "INSERT INTO t SELECT 1 FORMAT CSV",
            "INSERT INTO t (a) SELECT 1",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t WITH 1 AS x SELECT x",
            "INSERT INTO t FROM INFILE 'a' FORMAT CSV",
        ] {
            assert_eq!(insert(text), None, "{text}");
        }
    }

    #[test]
    fn the_output_format_is_the_last_one_outside_of_parentheses() {
        for (text, format) in [
            ("SELECT 1 FORMAT JSON", Some("JSON")),
            ("SELECT 'x FORMAT y'", None),
            (
                "SELECT format FROM t FORMAT CSV SETTINGS a = 1;",
                Some("CSV"),
            ),
            ("SELECT * FROM format(TSV, 'x')", None),
        ] {
            assert_eq!(output_format(text.as_bytes()).as_deref(), format, "{text}");
        }
    }

    #[test]
    fn values_may_end_in_a_semicolon_and_in_nothing_else() {
        for (values, goes) in [
            ("(1, ';'), (2)", false),
            ("(1); -- done\n;", false),
            ("(1); DROP TABLE t", true),
        ] {
            assert_eq!(goes_on(values.as_bytes()), goes, "{values}");
        }
    }

    #[test]
    fn a_kill_is_by_our_id_and_never_waits() {
        for (text, sent) in [
            (
                "KILL QUERY WHERE query_id = 'query_id';",
                "KILL QUERY WHERE Settings['log_comment'] = 'query_id' ASYNC",
            ),
            (
                "KILL QUERY WHERE query_id = 'a' SYNC",
                "KILL QUERY WHERE Settings['log_comment'] = 'a' ASYNC",
            ),
            (
                "kill query where query_id in ('a') format TSV",
                "kill query where Settings['log_comment'] in ('a') ASYNC FORMAT TSV",
            ),
        ] {
            assert_eq!(
                String::from_utf8(rewrite_kill(text.as_bytes())).unwrap(),
                sent
            );
        }
    }
}
