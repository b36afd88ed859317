-- Requests about running tasks are for shells beside them, too, not only for pages of their logs.
ALTER TABLE log_requests RENAME TO running_requests;
ALTER TABLE running_requests RENAME COLUMN page TO answer;

-- A job has a session of its own, and each of its tasks may have one beside it.
ALTER TABLE sessions RENAME TO sessions_of_jobs;
CREATE TABLE sessions (
    job      INTEGER NOT NULL,
    task     INTEGER NOT NULL,          -- its number; 0: the job's own session
    gateway  TEXT NOT NULL,             -- URL at which other gateways reach it
    holder   TEXT NOT NULL,             -- id of the session, made at random: another one may have come since
    PRIMARY KEY (job, task)
);
INSERT INTO sessions (job, task, gateway, holder) SELECT job, 0, gateway, holder FROM sessions_of_jobs;
DROP TABLE sessions_of_jobs;
