//! ClickHouse without a server: the real engine (libchdb) behind ClickHouse's own HTTP interface, as a child process.
//!
//! ```text
//! engine ── spawns ──▶ serve ── front ── request · upload · compression     what was asked
//!                                  └──── execute ── statement · token       what it is
//!                                           ├── select ── handle · answer ── library
//!                                           └── reply · failure             what is answered
//!                                  running: ids, KILL QUERY, clients that go away
//! ```
//!
//! Limits, on purpose or by the library: sessions and temporary tables do not outlive a request; `INSERT … SELECT FROM
//! input()` and external tables are refused; a client's own `log_comment` is replaced by the query id; results in formats
//! with an epilogue (JSON, Parquet, …) are held in memory before they are sent. Whoever has the password can read and
//! write every file that this process can (`file()`, `FROM INFILE`, `INTO OUTFILE`), which is why it listens on loopback only.

mod answer;
mod compression;
pub mod engine;
mod execute;
mod failure;
mod front;
mod handle;
pub mod kafka;
pub mod library;
mod packing;
mod reply;
mod request;
mod running;
mod select;
pub mod serve;
mod server;
mod statement;
mod token;
mod upload;
