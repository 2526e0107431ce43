//! Logging on stderr: text for people, never able to fail the process.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

/// Logging that cannot be set up as asked falls back to `info`; a broken pipe is ignored.
pub fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // librdkafka and the HTTP stack have no news for an operator below a warning
    let quiet = [
        "librdkafka=warn",
        "rdkafka=warn",
        "hyper=warn",
        "h2=warn",
        "reqwest=warn",
    ];
    let filter = quiet
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    // an error here means that a test has set up logging already
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
}

static ENDED: AtomicBool = AtomicBool::new(false);

/// Nothing is logged after this.
pub fn end() {
    ENDED.store(true, Ordering::Release);
}

/// stderr, until logging has ended.
struct Log;

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        if ENDED.load(Ordering::Acquire) {
            return Ok(text.len());
        }
        std::io::stderr().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
