-- Who built which window, from which SQL, with which result. The plain names are views: the latest word on each.

CREATE TABLE IF NOT EXISTS {ops}.windows_versions{on_cluster}
(
    job LowCardinality(String),
    window_from DateTime64(3, 'UTC'),
    window_to DateTime64(3, 'UTC'),
    state LowCardinality(String) COMMENT 'swapping, done, unchanged, blocked or failed',
    `partition` String,
    staging String COMMENT 'table that a swapping window is replaced from',
    sql_hash String,
    rows UInt64,
    checksum UInt64,
    read_rows UInt64,
    read_bytes UInt64,
    seconds Float64,
    message String,
    run_id String,
    token UInt64,
    recorded_at DateTime64(3, 'UTC'),
    version UInt64 COMMENT 'fencing token << 20 | step: a stale owner never has the last word'
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (job, window_from, window_to);

CREATE VIEW IF NOT EXISTS {ops}.windows{on_cluster} AS
SELECT job, window_from, window_to, state, `partition`, staging, sql_hash, rows, checksum, read_rows, read_bytes, seconds, message,
    run_id, token, recorded_at
FROM {ops}.windows_versions FINAL;

CREATE TABLE IF NOT EXISTS {ops}.runs_versions{on_cluster}
(
    run_id String,
    job LowCardinality(String),
    command LowCardinality(String) COMMENT 'gold, backfill or schedule',
    state LowCardinality(String) COMMENT 'running, done, noop, failed, partial, blocked, lease held, not fresh or terminated',
    scheduled_for Nullable(DateTime64(3, 'UTC')) COMMENT 'the fire of the cron line',
    started_at DateTime64(3, 'UTC'),
    finished_at Nullable(DateTime64(3, 'UTC')),
    windows UInt32,
    built UInt32,
    unchanged UInt32,
    failed UInt32,
    exit UInt8,
    message String,
    host LowCardinality(String),
    version UInt64
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (job, run_id);

CREATE VIEW IF NOT EXISTS {ops}.runs{on_cluster} AS
SELECT run_id, job, command, state, scheduled_for, started_at, finished_at, windows, built, unchanged, failed, exit, message, host
FROM {ops}.runs_versions FINAL;
