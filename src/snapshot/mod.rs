//! Rows of a source table from one consistent snapshot, as the job's own decoder makes them of change events.
//!
//! ```text
//! COPY … ORDER BY key ─▶ cells ─▶ {"op":"r","after":{…}} ─▶ the job's decoder ─▶ Block, a chunk of keys at a time
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `reading` | which columns are read, how they are asked for and in which order |
//! | `postgres`, `copy`, `array` | PostgreSQL's transaction and its text |
//! | `mysql` | the same of MySQL and MariaDB |
//! | `form` | a cell's text to JSON |
//! | `making` | cells to rows of the job |
//! | `reader` | the snapshot: chunks of all rows, of a part of them, or the rows of some keys |
//! | `slice` | parts of a table: where it is cut, by its key or by a time |
//! | `version` | which version such a row gets, so that every later change wins and no earlier one does |
//! | `stamping` | rows and deletes under those versions, ready to be inserted |
//! | `ends` | how far the topic is, and whether ingest has passed that |

mod array;
mod copy;
mod ends;
mod form;
mod making;
mod mysql;
mod postgres;
mod reader;
mod reading;
mod slice;
mod stamping;
mod version;

pub(crate) use form::{Form, Odd};

pub use ends::{Behind, Reached, behind, caught_up, reached};
pub use making::{Chunk, Refused};
pub use reader::{Chunks, Snapshot};
pub use reading::{LeftOut, Reading};
pub use slice::{Axis, Between, Bound, Cuts};
pub use stamping::{Left, Stamping};
pub use version::{Ends, Known, NoRoom, Stamp, UNKNOWN_PARTITION, stamp_of_file};
