-- ClickHouse's own Kafka engine with the materialized view that was the fastest we know: one JSONExtract of one Tuple,
-- and of the image before only the key. The table is the one that `bullion migrate` makes.
CREATE DATABASE peer;

CREATE TABLE peer.orders_topic (raw String)
ENGINE = Kafka
SETTINGS kafka_broker_list = '{brokers}', kafka_topic_list = '{topic}', kafka_group_name = '{group}',
    kafka_format = 'RawBLOB', kafka_num_consumers = 1, kafka_max_block_size = {block},
    kafka_poll_max_batch_size = {poll}, kafka_flush_interval_ms = {flush_ms};

CREATE MATERIALIZED VIEW peer.orders_view TO silver.orders_versions AS
WITH
    JSONExtract(raw, $$Tuple(
        before Tuple(id Int64),
        after Tuple(id Int64, customer_id Int32, status LowCardinality(String), amount Decimal(12, 2),
            currency LowCardinality(String), note Nullable(String), email String, paid Bool, weight Nullable(Float64),
            ordered_on Int32, created_at DateTime64(6, 'UTC'), updated_at Int64),
        source Tuple(ts_ms Int64, lsn Int64, txId Int64),
        op LowCardinality(String))$$) AS event,
    event.after AS after,
    event.op = 'd' AS deleted
SELECT
    if(deleted, event.before.id, after.id) AS id,
    after.customer_id AS customer_id,
    after.status AS status,
    after.amount AS amount,
    after.currency AS currency,
    after.note AS note,
    after.email AS email,
    after.paid AS paid,
    after.weight AS weight,
    toDate32(after.ordered_on) AS ordered_on,
    after.created_at AS created_at,
    fromUnixTimestamp64Micro(after.updated_at, 'UTC') AS updated_at,
    bitOr(bitShiftLeft(toUInt64(1), 56), bitShiftLeft(toUInt64(_offset), 8)) AS _version,
    deleted AS _deleted,
    _topic,
    toInt32(_partition) AS _partition,
    event.source.lsn AS _lsn,
    event.source.txId AS _tx_id,
    fromUnixTimestamp64Milli(event.source.ts_ms, 'UTC') AS _source_time
FROM peer.orders_topic
