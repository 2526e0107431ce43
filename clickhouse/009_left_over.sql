-- What a command that was cut off has left. A run keeps what it looked for: a retry looks again for the jobs that it did not come to.

ALTER TABLE {ops}.runs_versions{on_cluster}
    ADD COLUMN IF NOT EXISTS search String COMMENT 'missing, dirty or both, and what else was allowed; empty: every window of a range' AFTER token;

CREATE OR REPLACE VIEW {ops}.runs{on_cluster} AS
SELECT run_id, job, command, state, scheduled_for, started_at, finished_at, windows, built, unchanged, failed, exit, message, host, token,
    search
FROM {ops}.runs_versions FINAL;

-- A backfill whose chunks are done goes on with the gold that was asked for with it.
ALTER TABLE {ops}.backfills_versions{on_cluster}
    COMMENT COLUMN state 'running, stopped, failed, filled, done or replaced';
