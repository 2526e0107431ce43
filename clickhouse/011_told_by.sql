-- By which time column the changes of a silver job are told in ops.touches: what was written while it was another one, or
-- none, was told to nobody.
CREATE TABLE IF NOT EXISTS {ops}.told_by{on_cluster}
(
    job LowCardinality(String) COMMENT 'of silver',
    time_column String COMMENT 'empty: nobody tells them',
    recorded_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {replicated}ReplacingMergeTree(recorded_at)
ORDER BY job;
