-- What the audits of gold jobs found in new rows, before these were swapped in: one line for each window, audit and run.
CREATE TABLE IF NOT EXISTS {ops}.audit_failures{on_cluster}
(
    job LowCardinality(String),
    window_from DateTime64(3, 'UTC'),
    window_to DateTime64(3, 'UTC'),
    audit LowCardinality(String) COMMENT 'its name in the job file',
    kind LowCardinality(String) COMMENT 'not_null, unique, accepted_values, range, row_count or sql',
    severity LowCardinality(String) COMMENT 'block: readers kept the old rows; warn: the new ones were swapped in',
    found UInt64 COMMENT 'rows; for unique: keys; for row_count: all rows of the window',
    what String COMMENT 'the same in words',
    key_columns Array(LowCardinality(String)),
    keys Array(Array(Nullable(String))) COMMENT 'values of key_columns in the first of these rows, at most 20, cut to 200 characters',
    run_id String,
    at DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(at)
ORDER BY (job, window_from, window_to, audit, run_id);
