-- insert_supervisor: a supervisor starts.
INSERT INTO supervisors (url, heard) VALUES (:url, :now)

-- supervisor_lives: the fence of a supervisor: nothing if others have taken over.
SELECT 1 FROM supervisors WHERE id = :supervisor AND lost = 0

-- beat: a supervisor lives.
UPDATE supervisors SET heard = :now WHERE id = :supervisor

-- living_supervisors: all supervisors that are not lost.
SELECT id, url FROM supervisors WHERE lost = 0 ORDER BY id

-- loads_of_supervisors: how many jobs each supervisor has that is not lost.
SELECT id, (SELECT count(*) FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor = supervisors.id) AS jobs
FROM supervisors WHERE lost = 0 ORDER BY id

-- silent_supervisors: supervisors without a beat for too long.
SELECT id FROM supervisors WHERE lost = 0 AND heard < :before ORDER BY id

-- other_supervisors: all supervisors but one that are not lost.
SELECT id FROM supervisors WHERE lost = 0 AND id <> :supervisor ORDER BY id

-- lose_supervisor: a supervisor is lost; none of its later writes counts.
UPDATE supervisors SET lost = 1 WHERE id = :supervisor

-- give_back_jobs: the jobs of a lost supervisor have no owner.
UPDATE jobs SET supervisor = NULL WHERE archive_done IS NULL AND supervisor = :supervisor

-- forget_supervisors: remove supervisors that were lost long ago.
DELETE FROM supervisors WHERE lost = 1 AND heard < :before

-- unowned_jobs: live jobs without an owner, oldest first.
SELECT id FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor IS NULL ORDER BY id LIMIT :limit

-- own_job: a supervisor owns a job.
UPDATE jobs SET supervisor = :supervisor WHERE id = :job

-- release_leases: the agents that held tasks of this pool belonged to its last owner.
UPDATE tasks INDEXED BY tasks_leased SET state = 'ready', agent = NULL WHERE pool = :pool AND state = 'leased'

-- jobs_by_ids: everything about some jobs, for a JSON list of them.
SELECT jobs.* FROM json_each(:jobs) AS wanted CROSS JOIN jobs ON jobs.id = CAST(wanted.value AS INTEGER)

