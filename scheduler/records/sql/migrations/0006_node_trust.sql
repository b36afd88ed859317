-- To what does a blob belong? Asked of every blob that an agent says it has made.
CREATE INDEX entries_blob ON entries (etag) WHERE kind = 'o' AND size > 0;
DROP INDEX entries_shared;
DROP INDEX tasks_blob;
DROP INDEX task_inputs_blob;
CREATE INDEX tasks_blob ON tasks (blob) WHERE own = 1;
CREATE INDEX task_inputs_blob ON task_inputs (blob) WHERE own = 1;

-- Which credentials of a node are good. A node that is not here has only ever had the first one, of generation 0.
CREATE TABLE node_credentials (
    node        TEXT PRIMARY KEY,
    generation  INTEGER NOT NULL,       -- of the newest one
    oldest      INTEGER NOT NULL,       -- older ones are good from this generation on...
    until       INTEGER,                -- ... and until then (ms since the epoch); NULL: until the operator ends it
    revoked     INTEGER                 -- when the node was revoked last; while it is, oldest lies beyond generation
) WITHOUT ROWID;
