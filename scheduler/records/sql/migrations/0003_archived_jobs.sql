-- Jobs whose records go one day are found by when they were archived.
CREATE INDEX jobs_archived ON jobs (archive_done) WHERE archive_done IS NOT NULL;
