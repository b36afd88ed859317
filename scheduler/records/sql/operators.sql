-- jobs_by_beginning: the jobs on record whose id begins with a text.
SELECT * FROM jobs WHERE uuid >= :beginning AND uuid < :beyond ORDER BY uuid LIMIT :limit;

-- job_directories_by_beginning: directories of jobs, of an account, whose name begins with a text.
SELECT name FROM entries WHERE dir = :dir AND name >= :beginning AND name < :beyond ORDER BY name LIMIT :limit;

-- logins: all accounts.
SELECT login FROM accounts ORDER BY login;

-- newest_job: the job that was created last.
SELECT * FROM jobs ORDER BY id DESC LIMIT 1;

-- all_jobs: jobs on record, the newest first, of one account or of all, created since; :live leaves out those that are done.
SELECT * FROM jobs
WHERE id < :before AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT)) AND created >= :since
    AND (CAST(:live AS INTEGER) = 0 OR state <> 'done')
ORDER BY id DESC LIMIT :limit;

-- unarchived_jobs: the jobs whose usage is not their account's yet.
SELECT * FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL;

-- stored_of: the objects of an account, and their bytes, by names.
SELECT count(*) AS objects, coalesce(sum(size), 0) AS bytes FROM entries WHERE kind = 'o' AND dir >= :dir AND dir < :beyond;

-- usage_since: what accounts used by days, from a day to a day.
SELECT * FROM usage_days WHERE day >= :since AND day <= :upto AND (CAST(:login AS TEXT) = '' OR login = CAST(:login AS TEXT))
ORDER BY login, day;

-- finished_tasks: how many tasks of jobs on record have ended.
SELECT coalesce(sum(finished), 0) AS finished FROM phases;

-- held_by_node: the tasks that agents hold, by node and account.
SELECT agents.node AS node, jobs.owner AS owner, count(*) AS tasks
FROM tasks INDEXED BY tasks_leased CROSS JOIN agents ON agents.id = tasks.agent CROSS JOIN phases ON phases.id = tasks.pool CROSS JOIN jobs ON jobs.id = phases.job
WHERE tasks.state = 'leased'
GROUP BY agents.node, jobs.owner ORDER BY agents.node, jobs.owner;

-- nodes_offered: every node that was here, and what it offered.
SELECT name, memory_mb, disk_gb, seen FROM nodes ORDER BY name;

-- live_phases: the phases of live jobs, each with how many of its tasks wait, and since when the first of them.
SELECT jobs.uuid AS uuid, jobs.owner AS owner, jobs.name AS name, jobs.created AS created, jobs.state AS state,
    phases.number AS phase, phases.issued AS issued, phases.finished AS finished, phases.waiting AS waiting,
    (SELECT count(*) FROM tasks INDEXED BY tasks_ready_at WHERE pool = phases.id AND tasks.state = 'ready') AS ready,
    (SELECT ready FROM tasks INDEXED BY tasks_ready_at WHERE pool = phases.id AND tasks.state = 'ready' ORDER BY node, id LIMIT 1) AS since
FROM jobs INDEXED BY jobs_supervised CROSS JOIN phases ON phases.job = jobs.id
WHERE jobs.archive_done IS NULL AND jobs.state <> 'done' ORDER BY jobs.id, phases.number LIMIT :limit;

-- phases_now: the phases of a job, each with its open tasks by state.
SELECT number AS phase, finished, waiting AS reason,
    (SELECT count(*) FROM tasks WHERE pool = phases.id AND tasks.state = 'waiting' AND (tasks.number IS NULL OR tasks.number >= 0)) AS waiting,
    (SELECT count(*) FROM tasks INDEXED BY tasks_ready_at WHERE pool = phases.id AND tasks.state = 'ready') AS ready,
    (SELECT count(*) FROM tasks INDEXED BY tasks_leased WHERE pool = phases.id AND tasks.state = 'leased') AS running
FROM phases WHERE job = :job ORDER BY number;

-- longest_leased: the tasks of a phase that were leased longest ago.
SELECT tasks.uuid AS uuid, tasks.leased AS leased, agents.node AS node
FROM phases CROSS JOIN tasks INDEXED BY tasks_leased ON tasks.pool = phases.id CROSS JOIN agents ON agents.id = tasks.agent
WHERE phases.job = :job AND phases.number = :phase AND tasks.state = 'leased' ORDER BY tasks.leased, tasks.id LIMIT :limit;

-- jobs_between: jobs on record that were created in a time, the oldest first, after one of them.
SELECT * FROM jobs WHERE id > :after AND created >= :since AND created < :before
    AND (CAST(:owner AS TEXT) = '' OR owner = CAST(:owner AS TEXT)) AND errors > 0 ORDER BY id LIMIT :limit;

-- job_directories_between: directories of jobs, of an account, that were made in a time, by name, after one of them.
SELECT name FROM entries WHERE dir = :dir AND name > :after AND kind = 'd' AND mtime >= :since AND mtime < :before ORDER BY name LIMIT :limit;

-- stored_in_all: all objects, and their bytes, by names.
SELECT count(*) AS objects, coalesce(sum(size), 0) AS bytes FROM entries WHERE kind = 'o';
