//! One binary for every test on real parts.

mod backfill;
mod bad_input;
mod bank;
mod connectors;
mod crash;
mod demo;
mod dlq;
mod engine;
mod engine_http;
mod engine_life;
mod gold;
mod gold_grains;
mod heartbeat;
mod ingest;
mod ingest_faults;
mod ingest_group;
mod ingest_kafka_lost;
mod ingest_loss;
mod ingest_manners;
mod ingest_start;
mod lease;
mod new;
mod replay;
mod schedule;
mod support;
mod types;
