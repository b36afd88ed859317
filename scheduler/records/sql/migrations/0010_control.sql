-- Control of operations: what users have asked of a job that runs (scheduler/supervisor/control).
ALTER TABLE jobs ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;       -- 1: no attempt begins
ALTER TABLE jobs ADD COLUMN early INTEGER NOT NULL DEFAULT 0;           -- 1: its user has completed it
ALTER TABLE jobs ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0;       -- tasks that were given up
ALTER TABLE jobs ADD COLUMN staged INTEGER NOT NULL DEFAULT 0;          -- outputs of all stages so far
ALTER TABLE jobs ADD COLUMN type TEXT;              -- of an operation
ALTER TABLE jobs ADD COLUMN alias TEXT;
CREATE INDEX jobs_alias ON jobs (owner, alias, id) WHERE alias IS NOT NULL;

ALTER TABLE phases ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;          -- tasks whose outputs were lost after they had completed
ALTER TABLE phases ADD COLUMN unscheduled INTEGER NOT NULL DEFAULT 0;   -- attempts that were aborted before they reached a node
ALTER TABLE attempts ADD COLUMN began INTEGER;                          -- when its command had begun, if that was noticed
DROP INDEX attempts_running;
CREATE INDEX attempts_open ON attempts (pool, state) WHERE ended IS NULL;
CREATE INDEX attempts_aborting ON attempts (node) WHERE state = 'aborting';
CREATE INDEX tasks_number ON tasks (pool, number) WHERE number IS NOT NULL;

-- Requests that the owner of a job has to carry out, for they change what it has in memory.
CREATE TABLE control_requests (
    id      INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    request TEXT NOT NULL               -- JSON
);
CREATE INDEX control_requests_job ON control_requests (job, id);
