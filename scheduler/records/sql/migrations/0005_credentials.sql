-- Credentials end with the key that they came from, or all at once (times in ms by the database's clock; 0: before all others).
ALTER TABLE keys ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;         -- since when it opens nothing; 0: it does
ALTER TABLE accounts ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;     -- what was given out before counts no more

-- A job ends with whatever its right to exist came from.
ALTER TABLE jobs ADD COLUMN creator_key TEXT;       -- fingerprint of the key that its creator proved to have; NULL: not known
ALTER TABLE jobs ADD COLUMN parent INTEGER;         -- the job whose task created it; NULL: none
CREATE INDEX jobs_children ON jobs (parent) WHERE parent IS NOT NULL AND state <> 'done';
