//! A table follows its source: columns are added and widened where that is exact, and the job stops where it is not.
//!
//! ```text
//! message that needs it ─▶ Drift ─▶ type of each new field ─▶ under a lease: ALTER ─▶ views ─▶ ops.columns ─▶ decoded again
//!                          (pure)    schema, catalog, or text
//! ```
//!
//! | file      | what it holds                                                                       |
//! |-----------|-------------------------------------------------------------------------------------|
//! | `resolve` | the type of a field: from the embedded schema, from the source database, or as text |
//! | `step`    | which changes of the table that asks for                                            |
//! | `settle`  | the statements, in an order that a crash may cut anywhere                           |
//! | `refusal` | what a person is told where the table cannot follow                                 |
//! | `record`  | `ops.columns`                                                                       |
//!
//! What was done is kept in the comments of the table's own columns (`migrate::evolved`): ClickHouse's ALTER is what
//! decides between two processes, and what is decoded is a function of the job file and the table.

pub mod record;
mod refusal;
mod resolve;
mod settle;
mod step;

pub use record::{Event, State};
pub use settle::{Evolver, Settled};
