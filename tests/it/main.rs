//! One binary for every test on real parts.

mod archive;
mod avro;
mod backfill;
mod backfill_csv;
mod backfill_kafka;
mod backfill_postgres;
mod bad_input;
mod bad_topic;
mod bank;
mod chaos;
mod columns;
mod connectors;
mod crash;
mod demo;
mod dirty;
mod discover;
mod disk_full;
mod dlq;
mod engine;
mod engine_clients;
mod engine_http;
mod engine_life;
mod evolution;
mod evolution_debezium;
mod flattened;
mod gold;
mod gold_audits;
#[cfg(feature = "failpoints")]
mod gold_fence;
mod gold_grains;
mod gold_plan;
#[cfg(feature = "failpoints")]
mod gold_random;
mod gold_retry;
mod gold_runs;
mod gold_selection;
mod gold_status;
#[cfg(feature = "failpoints")]
mod gold_swap;
mod heartbeat;
mod ingest;
mod ingest_faults;
mod ingest_gone;
mod ingest_group;
mod ingest_kafka_lost;
mod ingest_lies;
mod ingest_loss;
mod ingest_manners;
mod ingest_network;
#[cfg(feature = "failpoints")]
mod ingest_points;
#[cfg(feature = "failpoints")]
mod ingest_rebalance;
mod ingest_source;
mod ingest_start;
mod keep;
mod lease;
mod lineage;
mod memory;
mod mongodb;
mod mysql;
mod new;
mod on_change;
mod privileges;
mod purity;
mod replay;
mod resync;
mod routing;
mod schedule;
mod silver_partitions;
mod silver_status;
mod support;
mod tls;
mod tls_kafka;
mod types;
mod verify;
