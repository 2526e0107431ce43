//! Change events on Kafka become tables people can trust in ClickHouse.
//!
//! ```text
//! Kafka ─▶ source ─▶ envelope ─▶ batch ─▶ sink ─▶ silver ─▶ gold
//!                       │ row · skip · reject · fail
//! ```
//!
//! | | modules | may import |
//! |---|---|---|
//! | declarations | `config`, `job`, `audit` (of gold jobs) (read by `document`, faults gathered by `fault`, chosen by `select`, told more of by `advice`) | pure code |
//! | pure: no clock, socket or file | `envelope`, `column`, `batch`, `budget`, `checkpoint`, `window`, `cron`, `quoting`, `due` (why a window is built), `status` (how a gold job stands), `error`, `refusal` (what servers say, without values of rows), `feature` (parts that a build leaves out) | each other |
//! | edges | `source` (Kafka), `sink` (ClickHouse), `lease`, `ledger`, `freshness`, `migrate`, `estimate` (what a build would read), `catalog` (PostgreSQL), `snapshot` (its rows), `connectors` (Kafka Connect), `registry` (Avro's schemas), `archive` (raw messages as Parquet) | declarations, pure code, other edges |
//! | flows | `ingest`, `evolve`, `discover`, `dlq`, `replay`, `verify`, `resync`, `dirty`, `lineage`, `gold`, `backfill`, `schedule` | everything above; not each other, except that `schedule` calls `dirty` and `gold`, which `backfill` plans for, that `backfill` and `resync` call `replay`, and `backfill` calls `dlq` and stops at bad lines by ingest's `Breaker`, that `ingest` calls `evolve` and `discover`, and that `dlq` and `replay` (which has its `Breaker`, too) write through ingest's `Target` |
//! | the zero-service default | `embedded` (ClickHouse's engine behind HTTP, a mock Kafka), `demo` | everything above |
//! | the process | `cli` (one file per command), `shutdown`, `telemetry`, `progress`, `rate`, `tls`, `allocator`, `failpoint` (for tests) | everything |

pub mod advice;
pub mod allocator;
pub mod archive;
pub mod audit;
pub mod backfill;
pub mod batch;
pub mod budget;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod column;
pub mod config;
pub mod connectors;
pub mod cron;
pub mod demo;
pub mod dirty;
pub mod discover;
pub mod dlq;
pub mod document;
pub mod due;
pub mod embedded;
pub mod envelope;
pub mod error;
pub mod estimate;
pub mod evolve;
pub mod failpoint;
pub mod fault;
pub mod feature;
pub mod freshness;
pub mod gold;
pub mod ingest;
pub mod job;
pub mod lease;
pub mod ledger;
pub mod lineage;
pub mod migrate;
pub mod progress;
pub mod quoting;
pub mod rate;
pub mod refusal;
pub mod registry;
pub mod replay;
pub mod resync;
pub mod schedule;
pub mod select;
pub mod shutdown;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod status;
pub mod telemetry;
pub mod tls;
pub mod verify;
pub mod window;
