-- Stages whose tasks read partitions of shuffle files (scheduler/supervisor/operations/shuffling.py).
ALTER TABLE jobs ADD COLUMN partitions INTEGER NOT NULL DEFAULT 1;      -- of an operation whose lines are divided
ALTER TABLE phases ADD COLUMN shared INTEGER;       -- the task that holds the inputs of all tasks of a stage; NULL: none
