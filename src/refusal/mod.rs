//! What a server's refusal says, without what its rows hold: `Cannot parse string 'secret' as Int32` is passed on without the
//! secret. Who may see rows asks the server itself: `bullion sql` shows its words whole.
//!
//! | file | whose words |
//! |---|---|
//! | `clickhouse` | codes of names, of values, and the rest; expressions and statements within them |
//! | `statement` | literals out of SQL |
//! | here | PostgreSQL's and MySQL's, of which only the sentence itself is passed on (details hold whole rows) |

mod clickhouse;
mod statement;

pub use clickhouse::clickhouse;

/// What stands for something left out.
pub const LEFT_OUT: &str = "…";

/// PostgreSQL's classes of errors whose sentences quote data: data exceptions, and what a function of the user's raised.
const POSTGRES_VALUES: [&str; 2] = ["22", "P0"];

/// `sqlstate` has five characters, of which two are the class.
pub fn postgres(sqlstate: &str, sentence: &str) -> String {
    let of_values = POSTGRES_VALUES
        .iter()
        .any(|class| sqlstate.starts_with(class));
    if of_values {
        without_quoted(sentence, '"')
    } else {
        sentence.to_owned()
    }
}

/// MySQL's and MariaDB's: duplicate entry, out of range, truncated, incorrect value (of a function, of a type), bad JSON.
const MYSQL_VALUES: [u16; 14] = [
    1062, 1264, 1265, 1292, 1300, 1366, 1367, 1411, 1525, 1586, 1690, 3140, 3141, 3156,
];

pub fn mysql(code: u16, sentence: &str) -> String {
    if MYSQL_VALUES.contains(&code) {
        without_quoted(sentence, '\'')
    } else {
        sentence.to_owned()
    }
}

/// From the first quote to the last: a value may hold quotes itself.
fn without_quoted(text: &str, quote: char) -> String {
    match (text.find(quote), text.rfind(quote)) {
        (Some(first), Some(last)) => {
            let (before, after) = (text.get(..first), text.get(last + 1..));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            format!("{before}{quote}{LEFT_OUT}{quote}{after}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresql_names_what_is_wrong_and_no_value() {
        let told = |state: &str, sentence: &str| postgres(state, sentence);
        assert_eq!(
            told(
                "22P02",
                "invalid input syntax for type integer: \"se\"cret\""
            ),
            "invalid input syntax for type integer: \"…\""
        );
        assert_eq!(
            told("22003", "value \"300\" is out of range for type smallint"),
            "value \"…\" is out of range for type smallint"
        );
        let name = "column \"nope\" does not exist";
        assert_eq!(told("42703", name), name);
    }

    #[test]
    fn mysql_names_what_is_wrong_and_no_value() {
        assert_eq!(
            mysql(1292, "Truncated incorrect DOUBLE value: 'it's secret'"),
            "Truncated incorrect DOUBLE value: '…'"
        );
        let name = "Unknown column 'nope' in 'field list'";
        assert_eq!(mysql(1054, name), name);
    }
}
