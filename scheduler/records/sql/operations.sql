-- set_status: where an operation stands.
UPDATE jobs SET status = :status WHERE id = :job

-- set_result: the outcome of an operation.
UPDATE jobs SET result = :result WHERE id = :job

-- begin_operation: a new job is an operation.
UPDATE jobs SET status = 'initializing', deadline = :deadline, type = :type, alias = :alias WHERE id = :job

-- pin_totals: how much an operation reads.
SELECT count(*) AS pins, coalesce(sum(size), 0) AS bytes FROM pins WHERE job = :job

-- set_pinned: the same, recorded, and the partitions that follow from it.
UPDATE jobs SET pins = :pins, pinned_bytes = :bytes, partitions = :partitions WHERE id = :job

-- count_failed: attempts of an operation failed.
UPDATE jobs SET failed = failed + :failed WHERE id = :job

-- operations_beside: how many operations of an account have a place among the running ones.
SELECT count(*) AS n FROM jobs INDEXED BY jobs_operations
WHERE owner = :owner AND status IN ('materializing', 'running', 'completing') AND status IS NOT NULL AND state <> 'done'

-- next_pending: the operation of an account that waits longest for a place.
SELECT id FROM jobs INDEXED BY jobs_operations
WHERE owner = :owner AND status = 'pending' AND status IS NOT NULL AND state <> 'done' ORDER BY id LIMIT 1

-- operations_of_owner: how many operations of an account are not over.
SELECT count(*) AS n FROM jobs INDEXED BY jobs_operations WHERE owner = :owner AND status IS NOT NULL AND state <> 'done'

-- insert_stage: one stage of an operation; its id is the pool. What its tasks read is known when they are made.
INSERT INTO phases (job, number, reducers, planned, input_ended) VALUES (:job, :number, 0, 0, 1)

-- set_cursor: how far the tasks of a stage are planned.
UPDATE phases SET cursor = :cursor, planned = :planned WHERE id = :pool

-- count_attempts: attempts of a stage ended without success.
UPDATE phases SET failed = failed + :failed, aborted = aborted + :aborted, unscheduled = unscheduled + :unscheduled WHERE id = :pool

-- insert_file_task: a task of a stage that reads a whole object as a file.
INSERT INTO tasks (uuid, pool, state, number, input, origin, blob, size, md5, ready)
VALUES (:uuid, :pool, 'ready', :number, :input, :input, :blob, :size, :md5, :now)

-- insert_fed_task: a task of a stage that reads ranges of objects; it waits until all of them are recorded.
INSERT INTO tasks (uuid, pool, state, number, reducer) VALUES (:uuid, :pool, 'waiting', :number, :number)

-- insert_range: a range that a task of a stage reads.
INSERT INTO task_inputs (task, seq, name, blob, size, availability, start, length, skip, upto, lines)
VALUES (:task, :seq, :name, :blob, :size, 0, :start, :length, :skip, :upto, :lines)

-- count_lines: lines of a range were counted.
UPDATE task_inputs SET lines = coalesce(lines, :lines) WHERE task = :task AND seq = :seq

-- index_total: the lines of all ranges of an index.
SELECT coalesce(sum(i.lines), 0) AS lines FROM tasks t INDEXED BY tasks_reducer CROSS JOIN task_inputs i
WHERE t.pool = :pool AND t.reducer IS NOT NULL AND i.task = t.id

-- index_page: the ranges of an index from one on, in the order of the input.
SELECT t.reducer AS number, i.seq AS seq, i.name AS name, i.blob AS blob, i.size AS size, i.start AS start, i.length AS length, i.lines AS lines
FROM tasks t INDEXED BY tasks_reducer CROSS JOIN task_inputs i
WHERE t.pool = :pool AND t.reducer IS NOT NULL AND t.reducer >= :number AND i.task = t.id AND (t.reducer > :number OR i.seq >= :seq)
ORDER BY t.reducer, i.seq LIMIT :limit

-- feed_staged: a task reads all outputs of the stage before, in order.
INSERT INTO task_inputs (task, seq, name, blob, size, availability)
SELECT :task, row_number() OVER (ORDER BY number, output), 'part', blob, size, 0 FROM staged WHERE job = :job AND stage = :stage

-- insert_partition_task: a task of a stage that reads one partition of all inputs of the stage.
INSERT INTO tasks (uuid, pool, state, number, reducer) VALUES (:uuid, :pool, 'ready', :number, :number)

-- insert_shared_task: what holds the inputs that all tasks of a stage share. It never runs, and counts nowhere.
INSERT INTO tasks (uuid, pool, state, number, reducer) VALUES (:uuid, :pool, 'waiting', :number, :number)

-- share_inputs: the task that holds the inputs of a stage; NULL once no task needs them.
UPDATE phases SET shared = :task WHERE id = :pool

-- shared_of: the task that holds the inputs of a stage.
SELECT shared FROM phases WHERE id = :pool AND shared IS NOT NULL

-- feed_shared_page: inputs after a seq that a task shares with its stage; it reads one partition of each.
SELECT i.seq AS seq, i.name AS name, i.blob AS blob, i.size AS size, i.availability AS availability, i.node AS node, i.start AS start,
    (SELECT reducer FROM tasks WHERE id = :task) AS part, 0 AS dictionary
FROM task_inputs i
WHERE i.task = (SELECT p.shared FROM tasks t CROSS JOIN phases p WHERE t.id = :task AND p.id = t.pool)
  AND i.seq > :after ORDER BY i.seq LIMIT :limit

-- feed_pins_page: inputs after a seq that each task of a stage reads in its range of keys.
SELECT i.seq + 1 AS seq, i.name AS name, i.blob AS blob, i.size AS size, 0 AS availability, NULL AS node, NULL AS start, NULL AS part, i.dictionary AS dictionary
FROM pins i
WHERE i.job = (SELECT p.job FROM tasks t CROSS JOIN phases p WHERE t.id = :task AND p.id = t.pool)
  AND i.seq >= :after ORDER BY i.seq LIMIT :limit

-- ranges_of: how many ranges of a task are recorded.
SELECT count(*) AS n FROM task_inputs WHERE task = :task

-- open_task: the task of a stage whose last range is not recorded yet.
SELECT id FROM tasks INDEXED BY tasks_reducer WHERE pool = :pool AND reducer = :number AND reducer IS NOT NULL

-- insert_pin: an input of an operation.
INSERT INTO pins (job, seq, name, blob, size, md5, type, headers, dictionary)
VALUES (:job, :seq, :name, :blob, :size, :md5, :type, :headers, :dictionary)

-- pin_directory: the objects of a directory as inputs, in the order of their names; hidden ones are left out.
INSERT INTO pins (job, seq, name, blob, size, md5, type, headers, dictionary)
SELECT :job, :first - 1 + row_number() OVER (ORDER BY name), :dir || '/' || name, etag, size, md5, type, headers, CAST(:dictionary AS INTEGER)
FROM entries WHERE dir = :dir AND kind = 'o' AND name >= '' AND substr(name, 1, 1) <> '.'

-- pins_page: inputs of an operation from one on.
SELECT seq, name, blob, size, md5, type FROM pins WHERE job = :job AND seq >= :first ORDER BY seq LIMIT :limit

-- link_pins: the outputs of an operation are its inputs' own bytes.
INSERT INTO staged (job, stage, number, output, blob, size, md5, type, headers, link)
SELECT job, 0, seq, 0, blob, size, md5, type, headers, 1 FROM pins WHERE job = :job AND size > 0

-- pinned_blobs: of a JSON list of blobs, those that are pinned.
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN pins ON blob = CAST(asked.value AS TEXT) WHERE size > 0

-- doom_blob: a blob has lost a name.
INSERT INTO doomed (blob) VALUES (:blob) ON CONFLICT (blob) DO NOTHING

-- unpin_page: forget a page of an operation's inputs.
DELETE FROM pins WHERE job = :job AND seq IN (SELECT seq FROM pins WHERE job = :job ORDER BY seq LIMIT :limit)

-- bury_page: doomed blobs that are not pinned.
DELETE FROM doomed WHERE blob IN (
    SELECT blob FROM doomed WHERE NOT EXISTS (SELECT 1 FROM pins WHERE pins.blob = doomed.blob AND pins.size > 0) LIMIT :limit)
RETURNING blob

-- blobs_with_names: of a JSON list of blobs, those that an object has.
SELECT etag AS blob FROM json_each(:blobs) AS asked CROSS JOIN entries ON etag = CAST(asked.value AS TEXT)
WHERE kind = 'o' AND size > 0

-- insert_staged: an output that is not published yet.
INSERT INTO staged (job, stage, number, output, blob, size, md5, type, headers)
VALUES (:job, :stage, :number, :output, :blob, :size, :md5, :type, :headers)

-- add_staged: outputs of an operation were staged; how many there were in all.
UPDATE jobs SET staged = staged + :staged WHERE id = :job RETURNING staged

-- count_staged: the outputs of a stage, and how many of them were not hashed.
SELECT count(*) AS n, count(CASE WHEN md5 = '' THEN 1 END) AS unhashed FROM staged WHERE job = :job AND stage = :stage

-- move_staged: the outputs of a stage are those of the next.
UPDATE staged SET stage = stage + 1 WHERE job = :job AND stage = :stage

-- put_first: what one stage has left comes before all outputs of another.
UPDATE staged SET stage = :to, number = -1 WHERE job = :job AND stage = :stage

-- staged_of: the first outputs of a stage.
SELECT number, output, blob, size, md5, type, headers, link FROM staged WHERE job = :job AND stage = :stage ORDER BY number, output LIMIT :limit

-- drop_staged: forget a page of outputs that were never published.
DELETE FROM staged WHERE job = :job AND (stage, number, output) IN (
    SELECT stage, number, output FROM staged WHERE job = :job ORDER BY stage, number, output LIMIT :limit)
RETURNING blob, size, link

-- insert_lock: an output of an operation.
INSERT INTO locks (path, job, mode) VALUES (:path, :job, :mode)

-- locks_at: the locks on some paths, for a JSON list of them.
SELECT locks.path AS path, mode, jobs.uuid AS job, jobs.id AS holder FROM json_each(:paths) AS asked
CROSS JOIN locks ON locks.path = CAST(asked.value AS TEXT) CROSS JOIN jobs ON jobs.id = locks.job

-- locks_below: the locks on paths below a directory.
SELECT path, mode, jobs.uuid AS job, jobs.id AS holder FROM locks CROSS JOIN jobs ON jobs.id = locks.job
WHERE path >= :below AND path < :beyond LIMIT 1

-- release_locks: an operation writes no more.
DELETE FROM locks WHERE job = :job

-- insert_attempt: an attempt is leased.
INSERT INTO attempts (task, attempt, job, pool, state, node, leased) VALUES (:task, :attempt, :job, :pool, 'waiting', :node, :now)

-- insert_unscheduled: an attempt was leased, and has come to nothing before it reached a node.
INSERT INTO attempts (task, attempt, job, pool, state, reason, leased, ended) VALUES (:task, :attempt, :job, :pool, 'aborted', :reason, :now, :now)

-- begin_attempt: the command of an attempt has begun.
UPDATE attempts SET state = 'running', began = :now WHERE task = :task AND attempt = :attempt AND node = :node AND state = 'waiting'

-- end_attempt: an attempt has ended.
UPDATE attempts SET state = :state, reason = :reason, interrupted = :interrupted, code = :code, message = :message,
    ended = :now, stderr = :stderr, usage = :usage
WHERE task = :task AND attempt = :attempt

-- stop_attempt: an attempt does not count any more, and its processes may run for a moment yet.
UPDATE attempts SET state = 'aborting', reason = :reason WHERE task = :task AND attempt = :attempt AND ended IS NULL

-- stop_attempts: as stop_attempt, for all of a stage.
UPDATE attempts INDEXED BY attempts_open SET state = 'aborting', reason = :reason
WHERE pool = :pool AND ended IS NULL AND (state = 'waiting' OR state = 'running')

-- attempt_gone: no process of an attempt that was stopped is left on its node.
UPDATE attempts SET state = 'aborted', ended = :now WHERE task = :task AND attempt = :attempt AND node = :node AND state = 'aborting'

-- aborting_at: attempts on a node that were stopped, and whose processes may still run.
SELECT task, attempt, job FROM attempts INDEXED BY attempts_aborting WHERE node = :node AND state = 'aborting' LIMIT :limit

-- aborting_attempts: attempts of a stage that were stopped, and whose processes may still run.
SELECT task, attempt, pool, node FROM attempts INDEXED BY attempts_open WHERE pool = :pool AND ended IS NULL AND state = 'aborting' LIMIT :limit

-- abort_attempts: no open attempt of a stage runs any more.
UPDATE attempts INDEXED BY attempts_open SET state = 'aborted', reason = CASE state WHEN 'aborting' THEN reason ELSE :reason END, ended = :now
WHERE pool = :pool AND ended IS NULL

-- count_stderrs: how many attempts of an operation have a stderr that is kept.
SELECT count(*) AS n FROM attempts INDEXED BY attempts_stderr WHERE job = :job AND stderr IS NOT NULL

-- oldest_stderr: the completed attempt whose stderr has been kept longest.
SELECT task, attempt, stderr FROM attempts INDEXED BY attempts_stderr
WHERE job = :job AND state = 'completed' AND stderr IS NOT NULL ORDER BY ended LIMIT 1

-- forget_stderr: the stderr of an attempt is no longer kept.
UPDATE attempts SET stderr = NULL WHERE task = :task AND attempt = :attempt

-- attempts_after: attempts of an operation, after one of them; from the first with zeros. What is NULL is not asked for.
SELECT attempts.*, tasks.uuid AS uuid, tasks.number AS number, phases.number AS stage
FROM attempts INDEXED BY attempts_job CROSS JOIN tasks CROSS JOIN phases
WHERE attempts.job = :job AND tasks.id = attempts.task AND phases.id = attempts.pool AND (attempts.task > :task OR (attempts.task = :task AND attempts.attempt > :attempt))
    AND (CAST(:state AS TEXT) IS NULL OR attempts.state = :state) AND (CAST(:reason AS TEXT) IS NULL OR attempts.reason = :reason)
    AND (CAST(:node AS TEXT) IS NULL OR attempts.node = :node)
    AND (CAST(:stage AS INTEGER) IS NULL OR phases.number = :stage) AND (CAST(:number AS INTEGER) IS NULL OR tasks.number = :number)
    AND (CAST(:printed AS INTEGER) IS NULL OR attempts.stderr IS NOT NULL)
ORDER BY attempts.task, attempts.attempt LIMIT :limit

-- attempt_of_task: one attempt of an operation.
SELECT attempts.*, tasks.uuid AS uuid, tasks.number AS number, phases.number AS stage, tasks.agent AS agent, tasks.attempt AS newest
FROM attempts CROSS JOIN tasks CROSS JOIN phases
WHERE attempts.task = :task AND attempts.attempt = :attempt AND tasks.id = attempts.task AND phases.id = attempts.pool

-- open_attempts: the open attempts of a stage, by state.
SELECT state, count(*) AS n FROM attempts INDEXED BY attempts_open WHERE pool = :pool AND ended IS NULL GROUP BY state

-- purge_attempts: remove a page of an operation's attempts.
DELETE FROM attempts WHERE task IN (SELECT task FROM attempts INDEXED BY attempts_job WHERE job = :job LIMIT :limit)

-- late_operations: operations of a supervisor whose time is up.
SELECT id FROM jobs INDEXED BY jobs_supervised
WHERE archive_done IS NULL AND supervisor = :supervisor AND state <> 'done' AND deadline < :now

-- control_of_job: what decides whether attempts of a job may begin.
SELECT suspended, status FROM jobs WHERE id = :job

-- set_suspended: whether attempts of a job may begin.
UPDATE jobs SET suspended = :suspended WHERE id = :job

-- set_early: the user of an operation has completed it.
UPDATE jobs SET early = 1, input_done = 1 WHERE id = :job

-- end_stage: no more tasks of a stage are made, and all that there are are over.
UPDATE phases SET finished = issued, planned = 1, cursor = NULL WHERE id = :pool

-- set_document: the document of an operation after an update.
UPDATE jobs SET document = :document, deadline = :deadline WHERE id = :job

-- alias_in_use: a live job of an account that has an alias.
SELECT uuid FROM jobs INDEXED BY jobs_alias WHERE owner = :owner AND alias = :alias AND alias IS NOT NULL AND state <> 'done' LIMIT 1

-- count_abandoned: tasks of an operation were given up.
UPDATE jobs SET abandoned = abandoned + 1 WHERE id = :job

-- insert_request: a request for the owner of a job.
INSERT INTO control_requests (job, request) VALUES (:job, :request)

-- requests_of_job: the requests that wait for the owner of a job.
SELECT id, request FROM control_requests WHERE job = :job ORDER BY id LIMIT :limit

-- count_requests: how many wait.
SELECT count(*) AS n FROM control_requests WHERE job = :job

-- forget_request: a request was carried out.
DELETE FROM control_requests WHERE id = :id

-- forget_requests: the requests about a job that is over.
DELETE FROM control_requests WHERE job = :job
