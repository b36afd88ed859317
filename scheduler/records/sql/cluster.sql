-- cluster_supervisors: those that live, when each was heard of, and how many jobs each has.
SELECT id, url, heard, (SELECT count(*) FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor = supervisors.id) AS jobs
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
