//! Jobs: the declarations under `jobs/`, loaded and checked as a whole.

mod silver;

pub use silver::{
    Column, DeletePolicy, Encoding, Format, NewColumnPolicy, Policies, SilverJob, TruncatePolicy,
    ValuePolicy,
};
