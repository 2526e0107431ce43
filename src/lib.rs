//! Change events on Kafka become tables people can trust in ClickHouse.
//!
//! ```text
//! Kafka ─▶ source ─▶ envelope ─▶ batch ─▶ sink ─▶ silver ─▶ gold
//!                       │ row · skip · reject · fail
//! ```
//!
//! Pure code (`envelope`, `column`, `batch`, `checkpoint`, `window`, `cron`) imports no edge; edges (`source`, `sink`,
//! `lease`, `ledger`) import no flow; flows (`ingest`, `gold`, `backfill`, `schedule`) join them and do not import
//! each other, except that `backfill` and `schedule` call `gold` and `ingest`.

pub mod backfill;
pub mod batch;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod column;
pub mod config;
pub mod connectors;
pub mod cron;
pub mod demo;
pub mod document;
pub mod embedded;
pub mod envelope;
pub mod error;
pub mod fault;
pub mod freshness;
pub mod gold;
pub mod ingest;
pub mod job;
pub mod lease;
pub mod ledger;
pub mod migrate;
pub mod progress;
pub mod schedule;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod tls;
pub mod window;
