-- session_of_job: where the session of a job is, if there is one.
SELECT gateway, holder FROM sessions WHERE job = :job

-- begin_session: a gateway has the session of a job.
INSERT INTO sessions (job, gateway, holder) VALUES (:job, :gateway, :holder)

-- end_session: it has it no more.
DELETE FROM sessions WHERE job = :job AND holder = :holder

-- purge_session: a gateway that died has left it.
DELETE FROM sessions WHERE job = :job
