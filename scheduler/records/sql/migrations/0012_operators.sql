-- Operators, accounts that are shut out, limits, and what accounts have used.
ALTER TABLE accounts ADD COLUMN operator INTEGER NOT NULL DEFAULT 0;    -- 1: reads and ends what any account has
ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;    -- since when (ms) its keys open nothing; 0: they do
ALTER TABLE accounts ADD COLUMN limits TEXT;        -- JSON: those that are not the service's default

CREATE INDEX jobs_open ON jobs (owner) WHERE state <> 'done';

-- What the jobs of an account took, by the day (UTC, since the epoch) on which they were archived. It outlives their records.
CREATE TABLE usage_days (
    login      TEXT NOT NULL,
    day        INTEGER NOT NULL,
    jobs       INTEGER NOT NULL,
    tasks      INTEGER NOT NULL,
    errors     INTEGER NOT NULL,
    wall_us    INTEGER NOT NULL,
    cpu_us     INTEGER NOT NULL,
    mb_ms      INTEGER NOT NULL,        -- MiB of the instances times ms of the tasks
    bytes_in   INTEGER NOT NULL,
    bytes_out  INTEGER NOT NULL,
    PRIMARY KEY (login, day)
) WITHOUT ROWID;
