-- Where an epoch begins in partitions that go on in it: what lies below was read in an earlier one.
CREATE TABLE IF NOT EXISTS {ops}.epoch_starts{on_cluster}
(
    `group` String,
    topic String,
    epoch UInt8,
    partition Int32,
    start_offset Int64
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (`group`, topic, epoch, partition);
