//! Where rows become durable.

pub mod checkpoints;
pub mod clickhouse;
pub mod dead_letters;
pub(crate) mod recall;
pub(crate) mod shadows;
pub mod stored;
pub mod touches;
