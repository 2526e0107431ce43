//! What ClickHouse says when it refuses, sorted into kinds.

use crate::error::{Error, Kind};

/// ClickHouse's exception code in the text of an error: `Code: 60. DB::Exception: …`.
pub fn error_code(text: &str) -> Option<u32> {
    let digits = text.split("Code: ").nth(1)?;
    // an answer without a body is told by its code alone
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits.get(..end.unwrap_or(digits.len()))?.parse().ok()
}

/// The kind of a ClickHouse exception; what is not listed needs a person.
pub const fn kind_of_code(code: u32) -> Kind {
    match code {
        // authentication failed, wrong password, access denied, unknown user
        192..=194 | 497 | 516 => Kind::Denied,
        // memory limit
        241 => Kind::TooLarge,
        // too many parts
        252 => Kind::TooFast,
        // unexpected end of file, timeouts, sockets, network, shutdown, keeper, threads, unknown status of insert
        3 | 107 | 159 | 164 | 202 | 203 | 209 | 210 | 225 | 236 | 242 | 243 | 279 | 285 | 286
        | 319 | 394 | 425 | 439 | 999 => Kind::Busy,
        // unknown table, unknown database
        60 | 81 => Kind::NotFound,
        _ => Kind::Query,
    }
}

pub(super) fn sorted(text: &str, told: fn(&str) -> String) -> Error {
    let said = text.strip_prefix("bad response: ").unwrap_or(text).trim();
    let code = error_code(text);
    // what was found full before the write has code 243; in the middle of it, that of the failed write
    if code == Some(243) || text.contains("No space left on device") {
        let message = format!("clickhouse refused: {}", told(said));
        return Error::new(Kind::Busy, message).advise("free room on ClickHouse's disk");
    }
    let Some(code) = code else {
        // something before it answered, and what became of the statement is unknown, so it is sent again
        let message = format!(
            "clickhouse did not answer, but something before it: {}",
            told(said)
        );
        return Error::new(Kind::Busy, message).advise(NOT_CLICKHOUSE);
    };
    let told = told(&without_grammar(said));
    let left_out = told.contains(crate::refusal::LEFT_OUT);
    let error = Error::new(kind_of_code(code), format!("clickhouse refused: {told}"));
    match error.kind() {
        Kind::Query if left_out => error.advise(VALUES_LEFT_OUT),
        _ => error,
    }
}

const NOT_CLICKHOUSE: &str = "check that clickhouse.url is ClickHouse's HTTP port (8123, not 9000), and what stands before it";
const VALUES_LEFT_OUT: &str = "`…` may have been values of rows: `bullion sql` shows the server's words whole, and so does its log";

/// A syntax error goes on with every word that could have stood there: four thousand characters nobody reads.
fn without_grammar(text: &str) -> String {
    match (
        text.find(" Expected one of: "),
        text.rfind(" (SYNTAX_ERROR)"),
    ) {
        (Some(from), Some(to)) if from < to => {
            let (before, after) = (text.get(..from), text.get(to..));
            format!("{}{}", before.unwrap_or(text), after.unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_told_without_the_whole_grammar() {
        let text = "Code: 62. DB::Exception: Syntax error: failed at position 1 (SELEC): SELEC 1. Expected one of: Query, \
            SELECT. (SYNTAX_ERROR) (version 26.7)";
        let told = sorted(text, crate::refusal::clickhouse).to_string();
        assert!(
            told.ends_with("SELEC 1. (SYNTAX_ERROR) (version 26.7)"),
            "{told}"
        );
    }

    #[test]
    fn the_code_of_an_exception_decides_its_kind() {
        let kind = |text: &str| sorted(text, crate::refusal::clickhouse).kind();
        assert_eq!(
            kind("bad response: Code: 516. DB::Exception: x"),
            Kind::Denied
        );
        assert_eq!(kind("Code: 241. DB::Exception: memory"), Kind::TooLarge);
        assert_eq!(kind("Code: 252. DB::Exception: parts"), Kind::TooFast);
        assert_eq!(kind("Code: 319. DB::Exception: unknown status"), Kind::Busy);
        assert_eq!(kind("Code: 243. DB::Exception: no room"), Kind::Busy);
        assert_eq!(
            kind("Code: 75. DB::ErrnoException: errno: 28, strerror: No space left on device"),
            Kind::Busy
        );
        assert_eq!(kind("Code: 62. DB::Exception: syntax"), Kind::Query);
        assert_eq!(kind("bad response: Code: 516"), Kind::Denied);
        assert_eq!(kind("bad response: 502 Bad Gateway"), Kind::Busy);
    }

    #[test]
    fn what_is_not_clickhouse_is_told_from_its_refusal() {
        let port = "bad response: Port 9000 is for clickhouse-client program";
        let error = sorted(port, crate::refusal::clickhouse);
        assert!(error.advice().contains("8123"), "{error}");
        assert!(!error.to_string().contains("refused"), "{error}");
    }
}
