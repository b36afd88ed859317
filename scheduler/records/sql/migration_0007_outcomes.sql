-- How often a task failed by itself and was tried again, as its phase asks for.
ALTER TABLE tasks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
