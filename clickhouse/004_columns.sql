-- What ingest has seen and done about the columns of its sources: one line for each event.
CREATE TABLE IF NOT EXISTS {ops}.columns{on_cluster}
(
    job LowCardinality(String),
    field String COMMENT 'in the source',
    state LowCardinality(String) COMMENT 'seen, added, widened, missing',
    column String COMMENT 'in silver',
    type String COMMENT 'of the silver column since then',
    encoding LowCardinality(String) COMMENT 'how the source writes the value, as `from` in a job file',
    source_type String COMMENT 'in the words of the schema or of the source database; empty where nothing tells',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'time of the source of the message that brought it',
    at DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(at)
ORDER BY (job, field, state, type, source_type);
