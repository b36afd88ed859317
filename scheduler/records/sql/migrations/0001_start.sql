-- Accounts and their keys.
CREATE TABLE accounts (
    login    TEXT PRIMARY KEY,
    created  INTEGER NOT NULL           -- ms since the epoch, like every time here
) WITHOUT ROWID;

CREATE TABLE keys (
    login        TEXT NOT NULL REFERENCES accounts,
    fingerprint  TEXT NOT NULL,         -- MD5, hex, colons: the form of keyId on the wire
    public       TEXT NOT NULL,         -- OpenSSH one-line form
    PRIMARY KEY (login, fingerprint)
) WITHOUT ROWID;

-- The namespace: every object and directory by directory and name.
CREATE TABLE entries (
    dir       TEXT NOT NULL,            -- normal path of the parent
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,            -- 'o' object, 'd' directory
    etag      TEXT,                     -- object: its UUID, and the id of its blob
    size      INTEGER,                  -- object: bytes; 0 has no blob
    md5       TEXT,                     -- object: base64
    type      TEXT,                     -- object: content type
    copies    INTEGER,                  -- object: durability level as asked for
    headers   TEXT NOT NULL,            -- JSON: m-*, CORS, cache-control, content-disposition …
    shared    INTEGER NOT NULL,         -- 1 once a SnapLink made another name for the same blob
    children  INTEGER NOT NULL,         -- directory: how many entries it has
    mtime     INTEGER NOT NULL,
    PRIMARY KEY (dir, name)
) WITHOUT ROWID;

CREATE INDEX entries_shared ON entries (etag) WHERE shared = 1;

-- Jobs. Counters move in the transactions that move what they count.
CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY,
    uuid            TEXT NOT NULL UNIQUE,
    owner           TEXT NOT NULL,
    name            TEXT NOT NULL,
    document        TEXT NOT NULL,      -- JSON as validated
    state           TEXT NOT NULL,      -- queued, running, done
    cancelled       INTEGER NOT NULL DEFAULT 0,
    input_done      INTEGER NOT NULL DEFAULT 0,
    inputs          INTEGER NOT NULL DEFAULT 0,    -- inputs added
    dispatched      INTEGER NOT NULL DEFAULT 0,    -- inputs turned into tasks, task inputs or errors
    errors          INTEGER NOT NULL DEFAULT 0,
    outputs         INTEGER NOT NULL DEFAULT 0,
    retries         INTEGER NOT NULL DEFAULT 0,
    created         INTEGER NOT NULL,
    last_input      INTEGER NOT NULL,
    done            INTEGER,
    archive_started INTEGER,
    archive_done    INTEGER
);
CREATE INDEX jobs_live ON jobs (state) WHERE archive_done IS NULL;
CREATE INDEX jobs_owner ON jobs (owner, id);

CREATE TABLE phases (
    id           INTEGER PRIMARY KEY,   -- the pool
    job          INTEGER NOT NULL REFERENCES jobs,
    number       INTEGER NOT NULL,
    reducers     INTEGER NOT NULL,      -- 0 for a map phase
    issued       INTEGER NOT NULL DEFAULT 0,   -- tasks made
    finished     INTEGER NOT NULL DEFAULT 0,   -- tasks committed, failed or cancelled
    input_ended  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (job, number)
);

CREATE TABLE inputs (
    job   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,             -- from 1, dense
    name  TEXT NOT NULL,                -- as submitted
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE tasks (
    id        INTEGER PRIMARY KEY,
    uuid      TEXT NOT NULL,
    pool      INTEGER NOT NULL,         -- phases.id
    state     TEXT NOT NULL,            -- waiting, ready, leased, committed, failed, cancelled
    attempt   INTEGER NOT NULL DEFAULT 0,
    retries   INTEGER NOT NULL DEFAULT 0,
    agent     INTEGER,                  -- who holds the lease
    input     TEXT,                     -- map: the object's name
    origin    TEXT,                     -- the job input that it descends from, if known
    blob      TEXT,
    size      INTEGER,
    md5       TEXT,
    own       INTEGER NOT NULL DEFAULT 0,   -- 1: the blob is an intermediate, deleted once consumed
    reducer   INTEGER,                  -- reduce: index from 0
    arrived   INTEGER NOT NULL DEFAULT 0,   -- reduce: inputs so far
    usage     TEXT                      -- JSON of what the attempt that counts took
);
CREATE INDEX tasks_ready ON tasks (pool, id) WHERE state = 'ready';
CREATE INDEX tasks_leased ON tasks (pool, agent) WHERE state = 'leased';
CREATE INDEX tasks_reducer ON tasks (pool, reducer) WHERE reducer IS NOT NULL;
CREATE INDEX tasks_own ON tasks (pool) WHERE own = 1;
CREATE INDEX tasks_pool ON tasks (pool);

CREATE TABLE task_inputs (
    task    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,           -- from 1, dense
    name    TEXT NOT NULL,
    origin  TEXT,
    blob    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    own     INTEGER NOT NULL,
    PRIMARY KEY (task, seq)
) WITHOUT ROWID;

CREATE TABLE outputs (
    job   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,             -- from 1, dense
    name  TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE errors (
    job      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,          -- from 1, dense
    record   TEXT NOT NULL,             -- JSON: all keys of both published forms
    origin   TEXT,                      -- the job input, for the list of failures
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

-- Agents that registered with this database, newest per node is the living one.
CREATE TABLE agents (
    id          INTEGER PRIMARY KEY,
    node        TEXT NOT NULL,
    registered  INTEGER NOT NULL
);
