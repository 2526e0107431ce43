//! Logging on stderr: text for people, never able to fail the process.

use std::io::IsTerminal;

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
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
}
