//! Backfill: a range is planned in parts, what is finished of it is left out, and the rest is worked off, some parts at a time.
//!
//! ```text
//! gold     range ─▶ windows ─▶ ops.windows: finished? ─▶ gold builds the others
//! silver   range ─▶ chunks ─▶ ops.backfill_chunks: done? ─▶ the others are read from their source and written to silver
//! ```
//!
//! Silver's chunks stand in the ledger before the first of them is read, and each is marked once its rows are durable. So a
//! killed backfill goes on with the chunks that were not, and reads those that it was in the middle of again.
//!
//! | file | what it holds |
//! |---|---|
//! | `windows` | gold: which windows are left |
//! | `chunk` | what was asked of a silver backfill, and what it is cut into |
//! | `plan` | an unfinished one goes on, or a new one is cut |
//! | `ledger` | `ops.backfills`, `ops.backfill_chunks` |
//! | `run` | chunks, some at a time, under a lease |
//! | `postgres`, `kafka`, `csv` | the sources: how each is cut, read, and which versions its rows get |

mod chunk;
mod csv;
mod kafka;
mod ledger;
mod plan;
mod postgres;
mod run;
mod windows;

pub use chunk::{Chunk, From, Order, Part, Request};
pub use csv::Csv;
pub use plan::{Backfill, Shape};
pub use run::{Filled, Summary};
pub use windows::{Plan, plan};
