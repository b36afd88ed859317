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
SELECT id FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor IS NULL ORDER BY supervisor, id LIMIT :limit

-- own_job: a supervisor owns a job.
UPDATE jobs SET supervisor = :supervisor WHERE id = :job

-- release_leases: the agents that held tasks of this pool belonged to its last owner.
UPDATE tasks INDEXED BY tasks_leased SET state = 'ready', agent = NULL WHERE pool = :pool AND state = 'leased'

-- nodes_with_leases: the nodes whose agents held tasks of this pool for its last owner.
SELECT DISTINCT agents.node AS node FROM tasks INDEXED BY tasks_leased CROSS JOIN agents ON agents.id = tasks.agent WHERE tasks.pool = :pool AND tasks.state = 'leased'

-- adopt_lease: an attempt goes on at the agent that has it, which has registered anew.
UPDATE tasks SET agent = :agent WHERE id = :task AND state = 'leased'

-- jobs_by_ids: everything about some jobs, for a JSON list of them.
SELECT jobs.* FROM json_each(:jobs) AS wanted CROSS JOIN jobs ON jobs.id = CAST(wanted.value AS INTEGER)

-- cluster_nodes: nodes that had an agent lately, when it was heard last, and whether it has ended in order.
SELECT name, seen, departed FROM nodes WHERE seen > :after ORDER BY name

-- cluster_supervisors: those that live, when each was heard of, how many jobs each has, and why it cannot reserve instances.
SELECT id, url, heard, trouble, (SELECT count(*) FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor = supervisors.id) AS jobs
FROM supervisors WHERE lost = 0 ORDER BY id

-- cluster_leases: how many tasks each agent holds, and of which jobs.
SELECT agents.node AS node, agents.supervisor AS supervisor, count(*) AS tasks
FROM tasks INDEXED BY tasks_leased CROSS JOIN agents ON agents.id = tasks.agent WHERE tasks.state = 'leased'
GROUP BY agents.node, agents.supervisor ORDER BY agents.node, agents.supervisor

-- cluster_jobs: live jobs, oldest first, each with its phases.
SELECT jobs.uuid AS uuid, jobs.owner AS owner, jobs.name AS name, jobs.state AS state, jobs.supervisor AS supervisor,
    phases.number AS phase, phases.issued AS issued, phases.finished AS finished, phases.waiting AS waiting
FROM jobs INDEXED BY jobs_supervised JOIN phases ON phases.job = jobs.id
WHERE jobs.archive_done IS NULL AND jobs.state <> 'done' ORDER BY jobs.id, phases.number LIMIT :limit

-- held_at: tasks that the agent of a node holds now.
SELECT count(*) AS tasks FROM tasks INDEXED BY tasks_leased CROSS JOIN agents ON agents.id = tasks.agent
WHERE tasks.state = 'leased' AND agents.node = :node

-- lie_at: intermediates on a node that are still needed.
SELECT (SELECT count(*) FROM tasks INDEXED BY tasks_at WHERE availability = 1 AND node = :node)
    + (SELECT count(*) FROM task_inputs INDEXED BY task_inputs_blob WHERE availability = 1 AND node = :node) AS blobs

-- set_trouble: why a supervisor cannot reserve instances, in a sentence; NULL: it can.
UPDATE supervisors SET trouble = :trouble WHERE id = :supervisor

-- mark_cluster: the word by which this cluster's reservations are told from others', unless it has one.
INSERT INTO cluster (id, mark) VALUES (1, :mark) ON CONFLICT (id) DO NOTHING

-- find_mark: that word.
SELECT mark FROM cluster WHERE id = 1
