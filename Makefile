# Thin: what the targets do is in stack/, tests/run, bench/ and the binary itself.
CACHE  := $(or $(BULLION_CACHE),$(HOME)/.cache/bullion)
TARGET := $(or $(CARGO_TARGET_DIR),target)
export BULLION_LIBCHDB ?= $(CACHE)/libchdb/libchdb.so

.PHONY: demo build test chaos unit lint bench stack-up stack-down

# Change events become silver and gold tables, with no service installed.
# It is built without the parts of Cargo.toml's [features], which `make build` has: a command that needs one says so.
demo:
	stack/setup build
	cargo build --release --locked --no-default-features
	$(TARGET)/release/bullion demo

build:
	stack/setup build
	cargo build --release --locked

# Everything, against the real PostgreSQL, Debezium, Kafka, ClickHouse engine and Airflow.
test:
	tests/run

# Seeded schedules of kills, pauses, rebalances and network faults: SEEDS=200 runs 1 to 200, SEED=17 that one alone.
chaos:
	BULLION_CHAOS_SEEDS=$(SEEDS) BULLION_CHAOS_SEED=$(SEED) tests/run chaos

unit:
	stack/setup build
	cargo test --release --locked --lib --bins

lint:
	tests/run lint

bench: build
	bench/run

# The real stack on free ports; addresses and passwords are in .stack/env.
stack-up:
	stack/stack up

stack-down:
	stack/stack down
