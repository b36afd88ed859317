-- Seconds that an account keeps jobs that are done; 0: for ever; NULL: as the service does.
ALTER TABLE accounts ADD COLUMN keep_jobs INTEGER;
