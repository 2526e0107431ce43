//! A ClickHouse exception: its code, its text, and how HTTP clients are told.

use std::fmt;

use axum::http::StatusCode;

/// Codes that we raise ourselves; all others come from the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    CannotReadAllData = 33,
    ChecksumDoesntMatch = 40,
    NotImplemented = 48,
    SyntaxError = 62,
    UnknownCompression = 89,
    UnknownSetting = 115,
    Readonly = 164,
    SameQueryId = 216,
    Aborted = 236,
    CannotDecompress = 271,
    CannotAllocate = 173,
    AuthenticationFailed = 516,
    Unknown = 1002,
}

impl Code {
    const fn name(self) -> &'static str {
        match self {
            Code::CannotReadAllData => "CANNOT_READ_ALL_DATA",
            Code::ChecksumDoesntMatch => "CHECKSUM_DOESNT_MATCH",
            Code::NotImplemented => "NOT_IMPLEMENTED",
            Code::SyntaxError => "SYNTAX_ERROR",
            Code::UnknownCompression => "UNKNOWN_COMPRESSION_METHOD",
            Code::UnknownSetting => "UNKNOWN_SETTING",
            Code::Readonly => "READONLY",
            Code::SameQueryId => "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
            Code::Aborted => "ABORTED",
            Code::CannotDecompress => "CANNOT_DECOMPRESS",
            Code::CannotAllocate => "CANNOT_ALLOCATE_MEMORY",
            Code::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Code::Unknown => "UNKNOWN_EXCEPTION",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u32,
    /// `Code: N. DB::Exception: … (NAME)`, without the version
    text: String,
}

impl Failure {
    pub fn new(code: Code, message: impl fmt::Display) -> Failure {
        let (number, name) = (code as u32, code.name());
        Failure {
            code: number,
            text: format!("Code: {number}. DB::Exception: {message}. ({name})"),
        }
    }

    /// From the engine's text, which names its code in front (a few of libchdb's own messages do not).
    pub fn of_engine(text: &str) -> Failure {
        let text = text.trim_end();
        // only at the very end: an error may quote another one, version and all
        let text = match text.rfind(" (version ") {
            Some(at) if text[at..].find(')') == Some(text.len() - at - 1) => &text[..at],
            _ => text,
        };
        let code = text
            .strip_prefix("Code: ")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(code, _)| code.parse().ok());
        match code {
            Some(code) => Failure {
                code,
                text: text.to_owned(),
            },
            None => Failure::new(Code::Unknown, text.trim_end_matches('.')),
        }
    }

    pub fn refused_session() -> Failure {
        Failure::new(
            Code::Aborted,
            "the engine opens no session: it is stopping, or its data folder is in use",
        )
    }

    pub fn out_of_memory() -> Failure {
        Failure::new(Code::CannotAllocate, "the engine returned no result")
    }

    pub fn unexplained() -> Failure {
        Failure::new(Code::Unknown, "the engine stopped reading without a reason")
    }

    pub fn code(&self) -> u32 {
        self.code
    }

    /// The text clients parse, ending as a server's does.
    pub fn text(&self, version: &str) -> String {
        format!("{} (version {version} (libchdb))\n", self.text)
    }

    /// The server's own table from code to status.
    pub fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167
            | 168 | 223 | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => {
                StatusCode::NOT_FOUND
            }
            229 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            159 => StatusCode::REQUEST_TIMEOUT,
            779 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What follows the data when the first bytes are gone already:
    /// `\r\n__exception__\r\n TAG \r\n text length ␠ TAG \r\n__exception__\r\n`.
    pub fn trailer(&self, tag: &str, version: &str) -> Vec<u8> {
        let text = self.text(version);
        let length = text.len();
        format!("\r\n__exception__\r\n{tag}\r\n{text}{length} {tag}\r\n__exception__\r\n")
            .into_bytes()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_text_gives_code_and_status() {
        for (text, code, status) in [
            (
                "Code: 60. DB::Exception: Table x.nope does not exist. (UNKNOWN_TABLE)",
                60,
                404,
            ),
            (
                "Code: 26. DB::Exception: Cannot parse. (CANNOT_PARSE_QUOTED_STRING) (version 26.7.2.1)",
                26,
                400,
            ),
            ("send_insert requires an INSERT query", 1002, 500),
        ] {
            let failure = Failure::of_engine(text);
            assert_eq!(
                (failure.code(), failure.status().as_u16()),
                (code, status),
                "{text}"
            );
            assert_eq!(failure.text("1").matches("version").count(), 1, "{text}");
        }
    }

    #[test]
    fn a_quoted_errors_version_is_left_alone() {
        let text = "Code: 519. DB::Exception: Log: refused. (NETWORK_ERROR) (version 26.7.2.1)\n. (ALL_FAILED)";
        let said = Failure::of_engine(text).text("1");
        assert!(
            said.contains("26.7.2.1)\n. (ALL_FAILED) (version 1"),
            "{said}"
        );
    }
}
