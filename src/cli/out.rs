//! Everything the process says on stdout. A reader that went away is never a reason to fail.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// One line for people; a closed stdout is ignored.
pub fn line(text: impl AsRef<str>) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{}", text.as_ref());
    let _ = stdout.flush();
}

/// Bytes as they are; false once nobody reads any more.
pub fn bytes(bytes: &[u8]) -> bool {
    std::io::stdout().lock().write_all(bytes).is_ok()
}

/// One line on stderr, for what is said before or after logging runs.
pub fn complain(text: impl AsRef<str>) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{}", text.as_ref());
}

pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    line(table.to_string());
}

/// Whether a person watches, so that bars and colours make sense.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
