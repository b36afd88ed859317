-- Many nodes: intermediates stay on the node that made them, and who made them can make them again.
ALTER TABLE tasks ADD COLUMN node TEXT;             -- where its own input lies; NULL: in the shared store
ALTER TABLE tasks ADD COLUMN maker INTEGER;         -- the task whose output its input is
ALTER TABLE tasks ADD COLUMN made INTEGER;          -- which of the maker's outputs, from 0
ALTER TABLE task_inputs ADD COLUMN node TEXT;
ALTER TABLE task_inputs ADD COLUMN maker INTEGER;
ALTER TABLE task_inputs ADD COLUMN made INTEGER;
ALTER TABLE tasks ADD COLUMN remakes INTEGER NOT NULL DEFAULT 0;    -- how often it was made again, after it had committed
ALTER TABLE tasks ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;     -- how often an agent could not get what it had made
CREATE INDEX tasks_maker ON tasks (maker, made) WHERE maker IS NOT NULL;
CREATE INDEX task_inputs_maker ON task_inputs (maker, made) WHERE maker IS NOT NULL;
DROP INDEX tasks_ready;
CREATE INDEX tasks_ready_at ON tasks (pool, node, id) WHERE state = 'ready';
-- own: 0 not ours, or consumed; 1 here, removed once consumed; 2 gone; 3 gone and being made again; 4 gone, but the
-- attempt that runs may have it (see scheduler/supervisor/tasks/recovery.py).
DROP INDEX tasks_own;
CREATE INDEX tasks_at ON tasks (pool, node, id) WHERE own = 1;
CREATE INDEX tasks_gone ON tasks (pool, own, id) WHERE own = 2 OR own = 3 OR own = 4;
CREATE INDEX task_inputs_at ON task_inputs (task, node, seq) WHERE own = 1 AND node IS NOT NULL;
CREATE INDEX tasks_blob ON tasks (blob) WHERE own = 1 AND node IS NOT NULL;
CREATE INDEX task_inputs_blob ON task_inputs (blob) WHERE own = 1 AND node IS NOT NULL;
CREATE INDEX task_inputs_unread ON task_inputs (task, seq) WHERE own = 4;
CREATE INDEX task_inputs_wanted ON task_inputs (task, seq) WHERE own = 2;

-- Many supervisors: each job is in the hands of one, by a lease that is renewed (times by the database's clock).
CREATE TABLE supervisors (
    id       INTEGER PRIMARY KEY,       -- one for each start
    url      TEXT NOT NULL,             -- where agents reach it
    heard    INTEGER NOT NULL,          -- ms since the epoch
    lost     INTEGER NOT NULL DEFAULT 0     -- 1: others have its jobs, and nothing that it writes counts
);
ALTER TABLE jobs ADD COLUMN supervisor INTEGER;     -- NULL: nobody's yet
DROP INDEX jobs_live;
CREATE INDEX jobs_supervised ON jobs (supervisor, id) WHERE archive_done IS NULL;
ALTER TABLE agents ADD COLUMN supervisor INTEGER;   -- with whom it registered
ALTER TABLE phases ADD COLUMN waiting TEXT;         -- why its tasks find no instance, in a sentence for its owner

-- What each node offered when it was last here: what fits none of them fits nowhere.
CREATE TABLE nodes (
    name       TEXT PRIMARY KEY,
    memory_mb  INTEGER NOT NULL,
    disk_gb    INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    store      TEXT                     -- which one it keeps intermediates in: another, and those in the last are gone
) WITHOUT ROWID;
