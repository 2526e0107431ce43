-- What became of a dead letter. A table of its own: a redelivery writes the letter again, and must not open it again.
CREATE TABLE IF NOT EXISTS {ops}.dead_letter_marks{on_cluster}
(
    topic LowCardinality(String),
    partition Int32,
    version UInt64,
    state LowCardinality(String) COMMENT 'resolved: replayed; discarded: a person does not want it',
    marked_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}ReplacingMergeTree(marked_at)
ORDER BY (topic, partition, version);

-- The letters that still wait for somebody, without their bytes.
CREATE VIEW IF NOT EXISTS {ops}.open_dead_letters{on_cluster} AS
SELECT job, topic, partition, offset, version, reason, column, message_time, length(key) AS key_bytes, length(value) AS value_bytes
FROM {ops}.dead_letters FINAL
WHERE (topic, partition, version) NOT IN (SELECT topic, partition, version FROM {ops}.dead_letter_marks FINAL);
