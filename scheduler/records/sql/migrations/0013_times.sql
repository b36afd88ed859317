-- When things happened to a task (ms since the epoch): what a report of a job's performance is made of.
ALTER TABLE tasks ADD COLUMN ready INTEGER;     -- since when it can run
ALTER TABLE tasks ADD COLUMN leased INTEGER;    -- when its last attempt was leased
ALTER TABLE tasks ADD COLUMN ran TEXT;          -- JSON: where and when the attempt that counts ran
