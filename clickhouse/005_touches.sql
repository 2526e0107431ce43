-- Which event times the rows of silver that changed lie in, and when: a window of gold is dirty when one of them was
-- touched after its last build began to read.
CREATE TABLE IF NOT EXISTS {ops}.touches{on_cluster}
(
    job LowCardinality(String) COMMENT 'of silver',
    bucket Int32 COMMENT 'quarters of an hour since 1970: toDateTime64(bucket * 900, 0, ''UTC''); the lowest number: no time',
    at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'after the rows could be read'
)
ENGINE = {replicated}ReplacingMergeTree(at)
ORDER BY (job, bucket);

ALTER TABLE {ops}.windows_versions{on_cluster}
    ADD COLUMN IF NOT EXISTS input_at DateTime64(6, 'UTC') COMMENT 'when the build that readers see began to read its input' AFTER recorded_at,
    ADD COLUMN IF NOT EXISTS changed_at DateTime64(6, 'UTC') COMMENT 'when what readers see last changed' AFTER input_at;

CREATE OR REPLACE VIEW {ops}.windows{on_cluster} AS
SELECT job, window_from, window_to, state, `partition`, staging, sql_hash, rows, checksum, read_rows, read_bytes, seconds, message,
    run_id, token, recorded_at, input_at, changed_at
FROM {ops}.windows_versions FINAL;
