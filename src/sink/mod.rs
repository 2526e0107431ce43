//! Where rows become durable.

pub mod clickhouse;
