-- Backfills of silver, and the chunks that each was cut into: what is done is not read again. The plain names are views: the
-- latest word on each.

CREATE TABLE IF NOT EXISTS {ops}.backfills_versions{on_cluster}
(
    backfill String,
    job LowCardinality(String),
    source LowCardinality(String) COMMENT 'postgres, kafka or csv',
    spec String COMMENT 'what was asked, and of which declaration of the job: the same again goes on',
    state LowCardinality(String) COMMENT 'running, stopped, failed, done or replaced',
    chunks UInt32,
    size UInt64 COMMENT 'rows, messages or lines of all chunks, when they were cut',
    message String,
    host LowCardinality(String),
    recorded_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (job, backfill);

CREATE VIEW IF NOT EXISTS {ops}.backfills{on_cluster} AS
SELECT backfill, job, source, spec, state, chunks, size, message, host, recorded_at FROM {ops}.backfills_versions FINAL;

CREATE TABLE IF NOT EXISTS {ops}.backfill_chunks_versions{on_cluster}
(
    backfill String,
    number UInt32,
    part String COMMENT 'bounds of keys or times, offsets, or lines',
    size UInt64,
    state LowCardinality(String) COMMENT 'planned or done',
    rows UInt64 COMMENT 'read',
    written UInt64,
    newer UInt64 COMMENT 'left alone: silver has a newer row',
    refused UInt64 COMMENT 'the rules of the job reject them',
    seconds Float64,
    recorded_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (backfill, number);

CREATE VIEW IF NOT EXISTS {ops}.backfill_chunks{on_cluster} AS
SELECT backfill, number, part, size, state, rows, written, newer, refused, seconds, recorded_at
FROM {ops}.backfill_chunks_versions FINAL;
