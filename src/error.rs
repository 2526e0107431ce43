//! One error type: what kind it is, what was being done, and what lies beneath.
//!
//! [`Kind::policy`] is the only place that decides whether to try again, which exit code the process
//! ends with and what the operator is told to do.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Whose turn it is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// the command line does not make sense
    Usage,
    /// `bullion.toml`, the environment or a job file is wrong
    Config,
    /// a server answered and refused our name or password
    Denied,
    /// a server does not answer
    Unreachable,
    /// a server answered "not now": overloaded, shutting down, unknown outcome
    Busy,
    /// ClickHouse ran out of memory for this query: a smaller one may pass
    TooLarge,
    /// ClickHouse has too many parts: a slower pace may pass
    TooFast,
    /// a table, topic or cluster is not what the job declares
    Mismatch,
    /// the messages between the committed offset and the topic's start are gone
    Gap,
    /// most of a job's input is dead letters
    TooManyRejects,
    /// ClickHouse or PostgreSQL refused a statement
    Query,
    /// a named thing (topic, table, job, run) does not exist
    NotFound,
    /// some windows of the run were not built
    WindowsFailed,
    /// some dead letters were rejected again by a replay
    StillRejected,
    /// an audit with severity `block` found rows
    AuditBlocked,
    /// silver and its source are not the same
    Differs,
    /// another process works on the same target
    LeaseHeld,
    /// the window's input is not complete yet
    NotFresh,
    /// nothing was done, and the caller asked to hear of it as a skip
    Skipped,
    /// SIGINT
    Interrupted,
    /// SIGTERM
    Terminated,
    /// reading or writing a local file failed
    File,
    /// a fault of ours
    Internal,
}

/// How a failed write or query is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    /// the same thing again after a pause
    Backoff,
    /// half of the rows at a time
    Halve,
    /// the same thing at a slower pace
    SlowDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub retry: Retry,
    pub exit: u8,
    pub advice: &'static str,
}

impl Kind {
    /// The whole policy. What is not listed as retryable needs a person.
    pub const fn policy(self) -> Policy {
        use Retry::{Backoff, Halve, Never, SlowDown};
        let (retry, exit, advice) = match self {
            Kind::Usage => (Never, 2, "see `bullion --help`"),
            Kind::Config => (Never, 2, "`bullion check` lists every fault at once"),
            Kind::Denied => (
                Never,
                2,
                "check the user and the password (environment or *_FILE)",
            ),
            Kind::Unreachable => (
                Backoff,
                1,
                "check that it runs and that the address is right: `bullion config show --origin`",
            ),
            Kind::Busy => (
                Backoff,
                1,
                "try again; see the server's own log if it stays",
            ),
            Kind::TooLarge => (
                Halve,
                1,
                "give ClickHouse more memory or lower `memory_budget`",
            ),
            Kind::TooFast => (
                SlowDown,
                1,
                "merges are behind: see system.parts and system.merges",
            ),
            Kind::Mismatch => (
                Never,
                2,
                "make the job and the real thing agree, then run again",
            ),
            Kind::Gap => (
                Never,
                1,
                "raise the job's `epoch` to read what is left, then `bullion verify --repair` or `bullion resync`: docs/faults.md, *Retention has passed*",
            ),
            Kind::TooManyRejects => (
                Never,
                1,
                "`bullion dlq list` shows the reasons; correct the job, start again and `bullion dlq replay`, or let them pass: `ingest --no-breaker`",
            ),
            Kind::Query => (Never, 1, "read the server's message above"),
            Kind::NotFound => (
                Never,
                2,
                "check the spelling; `bullion check` lists what is declared",
            ),
            Kind::WindowsFailed => (
                Never,
                3,
                "run the same command again: finished windows are kept",
            ),
            Kind::StillRejected => (
                Never,
                3,
                "`bullion dlq list` shows their reasons; correct the job, or discard them",
            ),
            Kind::AuditBlocked => (
                Never,
                4,
                "the old data stays; correct the input or the audit",
            ),
            Kind::Differs => (
                Never,
                4,
                "`--repair` writes these keys again, `bullion resync` the whole table",
            ),
            Kind::LeaseHeld => (Never, 75, "try again when the other process has ended"),
            Kind::NotFresh => (
                Never,
                75,
                "try again later; where the window is to be built as it is, without --if-complete",
            ),
            Kind::Skipped => (Never, 99, "nothing to do"),
            Kind::Interrupted => (Never, 130, "run the same command again to go on"),
            Kind::Terminated => (Never, 143, "run the same command again to go on"),
            Kind::File => (
                Never,
                1,
                "check the path, its permissions and the free space",
            ),
            Kind::Internal => (Never, 1, "this is a fault of bullion: please report it"),
        };
        Policy {
            retry,
            exit,
            advice,
        }
    }

    /// Whether the same may well succeed in some minutes, and nobody has to do anything for it.
    pub const fn passes(self) -> bool {
        let retry = self.policy().retry;
        matches!(self, Kind::LeaseHeld) || matches!(retry, Retry::Backoff | Retry::SlowDown)
    }
}

pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    advice: Option<String>,
    source: Option<Source>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            advice: None,
            source: None,
        }))
    }

    /// A thread that blocked on our behalf came to no end: a fault of ours.
    pub fn panicked(thread: tokio::task::JoinError) -> Self {
        Error::new(Kind::Internal, "a thread panicked").because(thread)
    }

    /// Keeps what lies beneath; it is shown after the message.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A better next step than the kind's own.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Says what was being done, in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn advice(&self) -> &str {
        self.0
            .advice
            .as_deref()
            .unwrap_or(self.0.kind.policy().advice)
    }
}

/// Says what was being done when an error of ours passes by.
pub trait Context<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.context(doing))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut beneath = std::error::Error::source(self);
        while let Some(error) = beneath {
            write!(f, ": {error}")?;
            beneath = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_what_was_done_down_to_the_cause() {
        let error = Error::new(Kind::Unreachable, "cannot reach clickhouse")
            .because(std::io::Error::other("connection refused"))
            .context("job orders");
        assert_eq!(
            error.to_string(),
            "job orders: cannot reach clickhouse: connection refused"
        );
    }

    #[test]
    fn only_dependencies_that_may_come_back_are_retried() {
        let retried = [Kind::Unreachable, Kind::Busy, Kind::TooLarge, Kind::TooFast];
        for kind in [
            Kind::Config,
            Kind::Denied,
            Kind::Query,
            Kind::Mismatch,
            Kind::Gap,
        ] {
            assert_eq!(kind.policy().retry, Retry::Never, "{kind:?}");
        }
        for kind in retried {
            assert_ne!(kind.policy().retry, Retry::Never, "{kind:?}");
        }
    }
}
