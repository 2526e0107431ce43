//! One binary for every test on real parts.

mod avro;
mod backfill;
mod bad_input;
mod bad_topic;
mod bank;
mod chaos;
mod connectors;
mod crash;
mod demo;
mod discover;
mod dlq;
mod engine;
mod engine_http;
mod engine_life;
mod evolution;
mod evolution_debezium;
mod flattened;
mod gold;
mod gold_grains;
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
mod ingest_start;
mod keep;
mod lease;
mod mongodb;
mod mysql;
mod new;
mod replay;
mod schedule;
mod support;
mod tls;
mod tls_kafka;
mod types;
mod verify;
