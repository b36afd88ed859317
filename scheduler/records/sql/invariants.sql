-- broken_counters_of_phases: phases whose counters are not what they count. A cancelled job counts all its tasks as finished.
-- Jobs archived before :purged may have lost tasks already.
SELECT jobs.uuid AS job, phases.number AS phase, phases.issued AS issued, phases.finished AS finished, phases.metered AS metered,
    count(tasks.id) AS tasks, count(CASE WHEN tasks.state IN ('committed', 'failed', 'cancelled') THEN 1 END) AS ended,
    count(tasks.usage) AS measured
FROM jobs JOIN phases ON phases.job = jobs.id LEFT JOIN tasks ON tasks.pool = phases.id AND (tasks.number IS NULL OR tasks.number >= 0)
WHERE (jobs.archive_done IS NULL OR jobs.archive_done >= :purged) AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
GROUP BY jobs.uuid, jobs.cancelled, jobs.status, phases.id, phases.number, phases.issued, phases.finished, phases.metered
HAVING phases.issued <> count(tasks.id) OR phases.metered <> count(tasks.usage)
    OR phases.finished <> CASE WHEN jobs.cancelled = 1 OR jobs.status IN ('failing', 'failed') THEN phases.issued
        ELSE count(CASE WHEN tasks.state IN ('committed', 'failed', 'cancelled') THEN 1 END) END
LIMIT :limit

-- broken_counters_of_jobs: jobs whose counters are not what they count.
SELECT * FROM (
    SELECT uuid AS job, inputs, dispatched, outputs, errors, retries,
        (SELECT count(*) FROM inputs WHERE job = jobs.id) AS input_rows,
        (SELECT count(*) FROM outputs WHERE job = jobs.id) AS output_rows,
        (SELECT count(*) FROM errors WHERE job = jobs.id) AS error_rows,
        (SELECT coalesce(sum(tasks.retries + tasks.failures), 0) FROM phases JOIN tasks ON tasks.pool = phases.id WHERE phases.job = jobs.id) AS task_retries
    FROM jobs WHERE (archive_done IS NULL OR archive_done >= :purged) AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
) AS counted
WHERE inputs <> input_rows OR outputs <> output_rows OR errors <> error_rows OR retries <> task_retries OR dispatched > inputs
LIMIT :limit

-- broken_ends: jobs that are done although something of them is open.
SELECT jobs.uuid AS job, jobs.dispatched AS dispatched, jobs.inputs AS inputs, sum(phases.finished) AS finished, sum(phases.issued) AS issued
FROM jobs JOIN phases ON phases.job = jobs.id
WHERE jobs.state = 'done' AND jobs.cancelled = 0 AND coalesce(jobs.status, 'completed') = 'completed'
    AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
GROUP BY jobs.uuid, jobs.input_done, jobs.dispatched, jobs.inputs
HAVING jobs.input_done = 0 OR jobs.dispatched <> jobs.inputs OR sum(phases.finished) <> sum(phases.issued)
LIMIT :limit

-- broken_leases: tasks that are leased to no agent that ever registered, or that have an agent and no lease.
SELECT jobs.uuid AS job, tasks.uuid AS task, tasks.state AS state, tasks.attempt AS attempt, tasks.agent AS agent
FROM tasks JOIN phases ON phases.id = tasks.pool JOIN jobs ON jobs.id = phases.job LEFT JOIN agents ON agents.id = tasks.agent
WHERE (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT)) AND CASE WHEN tasks.state = 'leased' THEN agents.id IS NULL OR tasks.attempt < 1 ELSE tasks.agent IS NOT NULL END
LIMIT :limit

-- broken_waits: map tasks that wait although their input can be had, or do not although it cannot.
SELECT jobs.uuid AS job, tasks.uuid AS task, tasks.state AS state, tasks.availability AS availability
FROM tasks JOIN phases ON phases.id = tasks.pool JOIN jobs ON jobs.id = phases.job
WHERE tasks.reducer IS NULL AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
    AND CASE WHEN tasks.state = 'waiting' THEN tasks.availability NOT IN (2, 3) ELSE tasks.availability IN (2, 3) AND tasks.state IN ('ready', 'leased') END
LIMIT :limit

-- broken_arrivals: open reduce tasks that have not the inputs that they count, or wait although they have some.
SELECT jobs.uuid AS job, tasks.uuid AS task, tasks.state AS state, tasks.arrived AS arrived, count(task_inputs.seq) AS inputs
FROM tasks JOIN phases ON phases.id = tasks.pool JOIN jobs ON jobs.id = phases.job LEFT JOIN task_inputs ON task_inputs.task = tasks.id
WHERE tasks.reducer IS NOT NULL AND tasks.state IN ('waiting', 'ready', 'leased') AND (tasks.number IS NULL OR tasks.state <> 'waiting') AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
GROUP BY jobs.uuid, tasks.id, tasks.uuid, tasks.state, tasks.arrived
HAVING tasks.arrived <> count(task_inputs.seq) OR (tasks.state = 'waiting' AND tasks.arrived > 0)
LIMIT :limit

-- broken_producers: inputs whose producer is not on record or has not committed, and such as are gone and have none.
SELECT jobs.uuid AS job, used.name AS input, used.availability AS availability, used.producer AS producer, producers.state AS state FROM (
    SELECT input AS name, availability, producer, producer_output, pool FROM tasks WHERE producer IS NOT NULL OR availability IN (2, 3, 4)
    UNION ALL
    SELECT i.name, i.availability, i.producer, i.producer_output, t.pool FROM task_inputs i JOIN tasks t ON t.id = i.task WHERE i.producer IS NOT NULL OR i.availability IN (2, 3, 4)
) AS used
JOIN phases ON phases.id = used.pool JOIN jobs ON jobs.id = phases.job LEFT JOIN tasks AS producers ON producers.id = used.producer
WHERE (jobs.archive_done IS NULL OR jobs.archive_done >= :purged)
    AND (used.producer IS NULL OR used.producer_output IS NULL OR producers.id IS NULL OR (producers.state <> 'committed' AND producers.remakes = 0)) AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
LIMIT :limit

-- broken_recomputations: inputs that are being recomputed, by a task that does no such thing.
SELECT jobs.uuid AS job, used.name AS input, producers.uuid AS producer, producers.state AS state FROM (
    SELECT input AS name, producer, state FROM tasks WHERE availability = 3
    UNION ALL
    SELECT i.name, i.producer, t.state FROM task_inputs i JOIN tasks t ON t.id = i.task WHERE i.availability = 3
) AS used JOIN tasks AS producers ON producers.id = used.producer JOIN phases ON phases.id = producers.pool JOIN jobs ON jobs.id = phases.job
WHERE (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT)) AND used.state NOT IN ('failed', 'cancelled') AND producers.state NOT IN ('waiting', 'ready', 'leased', 'cancelled')
LIMIT :limit

-- broken_outputs: jobs of phases with outputs, of whose last phase no task has ever committed. (An operation may link inputs.)
SELECT jobs.uuid AS job, jobs.outputs AS outputs FROM jobs
JOIN phases ON phases.job = jobs.id AND phases.number = (SELECT max(number) FROM phases AS last WHERE last.job = jobs.id)
WHERE jobs.outputs > 0 AND jobs.status IS NULL AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT)) AND (jobs.archive_done IS NULL OR jobs.archive_done >= :purged)
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.pool = phases.id AND (tasks.state = 'committed' OR tasks.remakes > 0))
LIMIT :limit

-- broken_commits: tasks that are committed although no attempt was ever leased.
SELECT jobs.uuid AS job, tasks.uuid AS task, tasks.attempt AS attempt
FROM tasks JOIN phases ON phases.id = tasks.pool JOIN jobs ON jobs.id = phases.job
WHERE tasks.state = 'committed' AND tasks.attempt < 1 AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
LIMIT :limit

-- broken_attempts: tasks of operations with two attempts that have completed, or with one although they are not committed.
SELECT jobs.uuid AS job, tasks.uuid AS task, tasks.state AS state, count(*) AS attempts
FROM attempts JOIN tasks ON tasks.id = attempts.task JOIN jobs ON jobs.id = attempts.job
WHERE attempts.state = 'completed' AND attempts.interrupted IS NULL AND tasks.remakes = 0 AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
GROUP BY jobs.uuid, tasks.id, tasks.uuid, tasks.state
HAVING count(*) > 1 OR tasks.state NOT IN ('committed', 'cancelled')
LIMIT :limit

-- broken_visibility: captured outputs that are listed although their task has never committed. Their names end in the task's id.
SELECT jobs.uuid AS job, outputs.name AS output, tasks.state AS state
FROM outputs JOIN jobs ON jobs.id = outputs.job JOIN phases ON phases.job = jobs.id
JOIN tasks ON tasks.pool = phases.id AND tasks.uuid = substr(outputs.name, length(outputs.name) - 35)
WHERE tasks.state <> 'committed' AND tasks.remakes = 0 AND jobs.status IS NULL AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
LIMIT :limit

-- broken_holds: locks, pins and staged outputs of jobs that are archived, or not on record.
SELECT coalesce(jobs.uuid, '') AS job, held.job AS id, held.what AS what, count(*) AS held FROM (
    SELECT job, 'lock' AS what FROM locks
    UNION ALL
    SELECT job, 'pin' AS what FROM pins
    UNION ALL
    SELECT job, 'staged output' AS what FROM staged
) AS held LEFT JOIN jobs ON jobs.id = held.job
WHERE (jobs.id IS NULL OR jobs.archive_done IS NOT NULL) AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT))
GROUP BY jobs.uuid, held.job, held.what
LIMIT :limit

-- broken_open_attempts: attempts that are open although no agent holds them, or although their operation is over.
SELECT jobs.uuid AS job, tasks.uuid AS task, attempts.attempt AS attempt, attempts.state AS state, tasks.state AS task_state
FROM attempts JOIN tasks ON tasks.id = attempts.task JOIN jobs ON jobs.id = attempts.job
WHERE attempts.ended IS NULL AND (CAST(:job AS TEXT) = '' OR jobs.uuid = CAST(:job AS TEXT)) AND (jobs.state = 'done'
    OR (attempts.state <> 'aborting' AND (tasks.state <> 'leased' OR tasks.attempt <> attempts.attempt)))
LIMIT :limit

-- broken_keys: keys of accounts that do not exist.
SELECT login, fingerprint FROM keys WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.login = keys.login)
LIMIT :limit

-- broken_blobs: blobs that two inputs own, or an input and an object, or two objects although no link was made.
SELECT blob, count(*) AS owners FROM (
    SELECT blob, 0 AS shared FROM tasks WHERE availability = 1 AND size > 0
    UNION ALL
    SELECT blob, 0 AS shared FROM task_inputs WHERE availability = 1 AND size > 0
    UNION ALL
    SELECT blob, 0 AS shared FROM staged WHERE size > 0 AND link = 0
    UNION ALL
    SELECT etag AS blob, shared FROM entries WHERE kind = 'o' AND size > 0
) AS owned
GROUP BY blob HAVING count(*) > 1 AND min(shared) = 0
LIMIT :limit

-- broken_directories: directories that count more or fewer entries than they have, or objects that have entries.
SELECT parent.dir AS dir, parent.name AS name, parent.children AS children, count(child.name) AS entries
FROM entries AS parent LEFT JOIN entries AS child
    ON child.dir = CASE WHEN parent.dir = '/' THEN '/' ELSE parent.dir || '/' END || parent.name
GROUP BY parent.dir, parent.name, parent.kind, parent.children
HAVING parent.children <> count(child.name)
LIMIT :limit

-- needed_blobs: blobs that must be in the shared store: those of objects, and of intermediates that a task is to read.
SELECT etag AS blob, name FROM entries WHERE kind = 'o' AND size > 0
UNION ALL
SELECT blob, name FROM pins WHERE size > 0
UNION ALL
SELECT blob, 'staged' AS name FROM staged WHERE size > 0
UNION ALL
SELECT blob, input AS name FROM tasks WHERE availability = 1 AND node IS NULL AND size > 0 AND state IN ('waiting', 'ready', 'leased')
UNION ALL
SELECT i.blob, i.name FROM task_inputs i JOIN tasks t ON t.id = i.task
WHERE i.availability = 1 AND i.node IS NULL AND i.size > 0 AND t.state IN ('waiting', 'ready', 'leased')
