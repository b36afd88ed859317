-- An input of an operation may be a dictionary of a join: its number, from 1; 0: it is none.
ALTER TABLE pins ADD COLUMN dictionary INTEGER NOT NULL DEFAULT 0;
