-- Each run of gold: what it planned, what became of every window, and what its query cost.

ALTER TABLE {ops}.windows_versions{on_cluster}
    ADD COLUMN IF NOT EXISTS query_id String COMMENT 'of the INSERT into staging, in system.query_log' AFTER changed_at,
    ADD COLUMN IF NOT EXISTS written_rows UInt64 AFTER query_id,
    ADD COLUMN IF NOT EXISTS written_bytes UInt64 AFTER written_rows,
    ADD COLUMN IF NOT EXISTS query_seconds Float64 COMMENT 'of the INSERT alone' AFTER written_bytes,
    ADD COLUMN IF NOT EXISTS memory Nullable(UInt64) COMMENT 'bytes; few servers say it' AFTER query_seconds;

CREATE OR REPLACE VIEW {ops}.windows{on_cluster} AS
SELECT job, window_from, window_to, state, `partition`, staging, sql_hash, rows, checksum, read_rows, read_bytes, seconds, message,
    run_id, token, recorded_at, input_at, changed_at, query_id, written_rows, written_bytes, query_seconds, memory
FROM {ops}.windows_versions FINAL;

ALTER TABLE {ops}.runs_versions{on_cluster}
    ADD COLUMN IF NOT EXISTS token UInt64 COMMENT 'of the lease it ran under; 0: it did not get it' AFTER host,
    COMMENT COLUMN command 'gold, backfill, schedule, retry or repair',
    COMMENT COLUMN state 'running, done, noop, failed, partial, blocked, lease held, not fresh, terminated or lost';

CREATE OR REPLACE VIEW {ops}.runs{on_cluster} AS
SELECT run_id, job, command, state, scheduled_for, started_at, finished_at, windows, built, unchanged, failed, exit, message, host, token
FROM {ops}.runs_versions FINAL;

-- The plan, and what the ledger said of its windows when the run had ended: later runs take the words in the ledger itself.
CREATE TABLE IF NOT EXISTS {ops}.run_windows_versions{on_cluster}
(
    run_id String,
    job LowCardinality(String),
    window_from DateTime64(3, 'UTC'),
    window_to DateTime64(3, 'UTC'),
    state LowCardinality(String) COMMENT 'planned, or a state of ops.windows',
    rows UInt64,
    query_id String,
    read_rows UInt64,
    read_bytes UInt64,
    written_rows UInt64,
    written_bytes UInt64,
    query_seconds Float64,
    memory Nullable(UInt64),
    seconds Float64,
    message String,
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3),
    version UInt64 COMMENT 'planned: 0; else as in ops.windows_versions'
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (run_id, job, window_from, window_to);

-- While a run goes on its last words stand in the ledger alone.
CREATE VIEW IF NOT EXISTS {ops}.run_windows{on_cluster} AS
SELECT run_id, job, window_from, window_to, last.1 AS state, last.2 AS rows, last.3 AS query_id, last.4 AS read_rows, last.5 AS read_bytes,
    last.6 AS written_rows, last.7 AS written_bytes, last.8 AS query_seconds, last.9 AS memory, last.10 AS seconds, last.11 AS message,
    last.12 AS recorded_at
FROM
(
    SELECT run_id, job, window_from, window_to, argMax((state, rows, query_id, read_rows, read_bytes, written_rows, written_bytes,
        query_seconds, memory, seconds, message, recorded_at), version) AS last
    FROM
    (
        SELECT run_id, job, window_from, window_to, state, rows, query_id, read_rows, read_bytes, written_rows, written_bytes,
            query_seconds, memory, seconds, message, recorded_at, version
        FROM {ops}.run_windows_versions
        UNION ALL
        SELECT run_id, job, window_from, window_to, state, rows, query_id, read_rows, read_bytes, written_rows, written_bytes,
            query_seconds, memory, seconds, message, recorded_at, version
        FROM {ops}.windows_versions
    )
    GROUP BY run_id, job, window_from, window_to
);
