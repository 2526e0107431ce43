-- What ingest knows and keeps. `{ops}`, `{on_cluster}` and `{replicated}` are filled in by `bullion migrate`.

CREATE TABLE IF NOT EXISTS {ops}.migrations{on_cluster}
(
    number UInt32,
    name String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY number;

-- Who a topic is. A topic that was recreated, has other partitions or lives on another cluster has other offsets,
-- so ingest stops until an operator raises the job's epoch.
CREATE TABLE IF NOT EXISTS {ops}.topics{on_cluster}
(
    topic String,
    epoch UInt8,
    cluster_id String,
    topic_id String,
    partitions UInt32
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (topic, epoch);

-- How far each partition is durable. version = epoch << 56 | next_offset: the highest wins.
CREATE TABLE IF NOT EXISTS {ops}.checkpoints{on_cluster}
(
    `group` String,
    topic String,
    partition Int32,
    next_offset Int64,
    source_time Nullable(DateTime64(3, 'UTC')) COMMENT 'latest time of the source seen below next_offset, heartbeats included',
    version UInt64
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (`group`, topic, partition);

-- Messages that could not become rows, with their original bytes. Written before the offset that passes them.
CREATE TABLE IF NOT EXISTS {ops}.dead_letters{on_cluster}
(
    job LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    version UInt64,
    reason LowCardinality(String),
    column String,
    key Nullable(String),
    value Nullable(String),
    headers Array(Tuple(name String, value Nullable(String))),
    message_time Nullable(DateTime64(3, 'UTC'))
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (topic, partition, version);
