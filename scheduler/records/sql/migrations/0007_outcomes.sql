-- How often a task failed by itself and was tried again, as its phase asks for.
ALTER TABLE tasks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;

-- Pages of the logs of running tasks, asked for by gateways that have no supervisor in their process.
CREATE TABLE log_requests (
    id       INTEGER PRIMARY KEY,       -- chosen at random by the gateway
    job      INTEGER NOT NULL,
    agent    INTEGER NOT NULL,          -- that holds the task
    request  TEXT NOT NULL,             -- JSON
    asked    INTEGER NOT NULL,          -- ms since the epoch
    page     TEXT                       -- JSON: the answer
);
