//! Looks at a gold job's SQL without understanding it: how many statements, which parameters.

/// What stands in one SQL text outside of strings, quoted names and comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// statements that hold anything
    pub statements: usize,
    pub first_word: String,
    /// `{name:Type}` as written, with its line
    pub parameters: Vec<(usize, String)>,
    /// byte at which the first statement ends
    pub end: usize,
}

pub fn outline(text: &str) -> Outline {
    let mut outline = Outline::default();
    let mut line = 1;
    let mut inside_statement = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let token = token_length(rest, character);
        let (whole, after) = rest.split_at(token);
        let blank = character.is_whitespace() || is_comment(rest);
        if character == ';' {
            inside_statement = false;
        } else if !blank {
            if !inside_statement {
                inside_statement = true;
                outline.statements += 1;
            }
            if outline.first_word.is_empty() && character.is_ascii_alphabetic() {
                outline.first_word = whole.to_ascii_uppercase();
            }
            if character == '{' {
                outline.parameters.push((line, whole.to_owned()));
            }
            if outline.statements == 1 {
                outline.end = text.len() - after.len();
            }
        }
        line += whole.matches('\n').count();
        rest = after;
    }
    outline
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
        assert_eq!(
            found.parameters,
            [(3, "{from:DateTime64(3, 'UTC')}".to_owned())]
        );
        assert!(text[..found.end].ends_with("'UTC')}"));
    }

    #[test]
    fn a_second_statement_is_seen() {
        assert_eq!(outline("SELECT 1; DROP TABLE x").statements, 2);
        assert_eq!(outline("  -- nothing\n").statements, 0);
    }
}
