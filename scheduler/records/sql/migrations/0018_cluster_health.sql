-- What operators see of a cluster: agents that are gone, supervisors that cannot reserve instances.
ALTER TABLE nodes ADD COLUMN departed INTEGER NOT NULL DEFAULT 0;   -- 1: its agent ended in order; seen is when it was heard last
ALTER TABLE supervisors ADD COLUMN trouble TEXT;    -- why it cannot reserve instances, in a sentence for operators; NULL: it can

-- The word by which this cluster's reservations are told from those of others; keys that are replaced must not change it.
CREATE TABLE cluster (
    id    INTEGER PRIMARY KEY,          -- 1
    mark  TEXT NOT NULL
);
