-- Operations: jobs whose stages are ours. A pipeline has nothing of this (scheduler/supervisor/operations).
ALTER TABLE jobs ADD COLUMN status TEXT;            -- NULL: a pipeline
ALTER TABLE jobs ADD COLUMN result TEXT;            -- JSON: the outcome, and the reason or error
ALTER TABLE jobs ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;          -- attempts that failed
ALTER TABLE jobs ADD COLUMN pins INTEGER NOT NULL DEFAULT 0;            -- inputs, once all are pinned,
ALTER TABLE jobs ADD COLUMN pinned_bytes INTEGER NOT NULL DEFAULT 0;    -- and their bytes
ALTER TABLE jobs ADD COLUMN deadline INTEGER;       -- ms since the epoch
CREATE INDEX jobs_operations ON jobs (owner, status, id) WHERE status IS NOT NULL AND state <> 'done';

-- A stage is a phase whose tasks are planned, page by page. A phase of a pipeline has nothing to plan.
ALTER TABLE phases ADD COLUMN planned INTEGER NOT NULL DEFAULT 1;       -- 0: more tasks may be made
ALTER TABLE phases ADD COLUMN cursor TEXT;          -- JSON: how far its input is cut
ALTER TABLE phases ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;        -- attempts
ALTER TABLE phases ADD COLUMN aborted INTEGER NOT NULL DEFAULT 0;       -- attempts
ALTER TABLE tasks ADD COLUMN number INTEGER;        -- in its stage, from 0: the order of its outputs
ALTER TABLE task_inputs ADD COLUMN start INTEGER;   -- a range of the object; NULL: all of it
ALTER TABLE task_inputs ADD COLUMN length INTEGER;
ALTER TABLE task_inputs ADD COLUMN skip INTEGER;    -- lines that are skipped at its start; NULL: none
ALTER TABLE task_inputs ADD COLUMN upto INTEGER;    -- lines that it has beyond its end; NULL: none
ALTER TABLE task_inputs ADD COLUMN lines INTEGER;   -- that begin in it, once they are counted

-- The inputs of operations as they were when they were found. A blob that is pinned outlives its names.
CREATE TABLE pins (
    job   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,             -- from 0, dense
    name  TEXT NOT NULL,
    blob  TEXT NOT NULL,
    size  INTEGER NOT NULL,
    md5   TEXT,
    type  TEXT,
    headers TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;
CREATE INDEX pins_blob ON pins (blob) WHERE size > 0;

-- Blobs that have lost a name while they were pinned, or by a publication: removed once nothing needs them.
CREATE TABLE doomed (
    blob  TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Outputs before they are outputs, in the order of publication.
CREATE TABLE staged (
    job     INTEGER NOT NULL,
    stage   INTEGER NOT NULL,
    number  INTEGER NOT NULL,           -- of the task, or of the input
    made    INTEGER NOT NULL,           -- which of the task's outputs, from 0
    blob    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    md5     TEXT,
    type    TEXT,
    headers TEXT NOT NULL,
    link    INTEGER NOT NULL DEFAULT 0,     -- 1: the blob of an input
    PRIMARY KEY (job, stage, number, made)
) WITHOUT ROWID;
CREATE INDEX staged_blob ON staged (blob) WHERE size > 0;

-- Outputs of operations that are not over: other writers keep away from what is locked exclusively.
CREATE TABLE locks (
    path  TEXT NOT NULL,
    job   INTEGER NOT NULL,
    mode  TEXT NOT NULL,                -- exclusive, shared
    PRIMARY KEY (path, job)
) WITHOUT ROWID;
CREATE INDEX locks_job ON locks (job);

-- Attempts at tasks of operations.
CREATE TABLE attempts (
    task        INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    job         INTEGER NOT NULL,
    pool        INTEGER NOT NULL,
    state       TEXT NOT NULL,          -- running, completed, failed, aborted
    reason      TEXT,                   -- of an aborted one
    interrupted TEXT,                   -- of a completed one
    code        TEXT,
    message     TEXT,
    node        TEXT,
    leased      INTEGER NOT NULL,
    ended       INTEGER,
    stderr      TEXT,                   -- the object that has it
    usage       TEXT,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_job ON attempts (job, task, attempt);
CREATE INDEX attempts_running ON attempts (pool) WHERE state = 'running';
CREATE INDEX attempts_stderr ON attempts (job, state, ended) WHERE stderr IS NOT NULL;
