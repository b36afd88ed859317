-- insert_job: a new job, accepted at once.
INSERT INTO jobs (uuid, owner, name, document, state, created, last_input, supervisor, creator_key, parent)
VALUES (:uuid, :owner, :name, :document, 'running', :now, :now, :supervisor, :creator_key, :parent)

-- insert_phase: one phase of a job; its id is the pool.
INSERT INTO phases (job, number, reducers, issued) VALUES (:job, :number, :reducers, :reducers)

-- job_by_uuid: everything about one job.
SELECT * FROM jobs WHERE uuid = :uuid

-- job_by_id: everything about one job.
SELECT * FROM jobs WHERE id = :job

-- phases_of_job: its phases in order.
SELECT * FROM phases WHERE job = :job ORDER BY number

-- orphaned_jobs: jobs that go on although the job is done, or purged, whose task created them.
SELECT child.id, child.uuid FROM jobs AS child INDEXED BY jobs_children LEFT JOIN jobs AS parent ON parent.id = child.parent
WHERE child.parent IS NOT NULL AND child.state <> 'done' AND (parent.id IS NULL OR parent.state = 'done') LIMIT :limit

-- live_jobs_of_owner: jobs of an account that are not done; of those with a :key, what it created or may have.
SELECT * FROM jobs WHERE owner = :owner AND state <> 'done'
    AND (CAST(:key AS TEXT) IS NULL OR creator_key IS NULL OR creator_key = :key)
ORDER BY id

-- count_open_jobs: how many jobs of an account are not done.
SELECT count(*) AS n FROM jobs INDEXED BY jobs_open WHERE owner = :owner AND state <> 'done'

-- count_open_jobs_in_all: how many jobs of all accounts are not done.
SELECT count(*) AS n FROM jobs INDEXED BY jobs_open WHERE state <> 'done'

-- done_unseen: jobs of a supervisor that are done and not archived.
SELECT id FROM jobs INDEXED BY jobs_supervised WHERE archive_done IS NULL AND supervisor = :supervisor AND state = 'done'

-- job_totals: tasks of all phases together.
SELECT coalesce(sum(issued), 0) AS tasks, coalesce(sum(finished), 0) AS tasks_done FROM phases WHERE job = :job

-- insert_input: one line of job input.
INSERT INTO inputs (job, seq, name) VALUES (:job, :seq, :name)

-- count_inputs: inputs were added.
UPDATE jobs SET inputs = inputs + :added, last_input = :now WHERE id = :job

-- end_input: no input will follow.
UPDATE jobs SET input_done = 1 WHERE id = :job

-- end_idle_inputs: end the input of a supervisor's jobs that got none for too long.
UPDATE jobs SET input_done = 1
WHERE archive_done IS NULL AND supervisor = :supervisor AND state = 'running' AND input_done = 0 AND last_input < :before RETURNING id

-- inputs_page: the next inputs to dispatch.
SELECT seq, name FROM inputs WHERE job = :job AND seq > :after ORDER BY seq LIMIT :limit

-- count_dispatched: inputs were dispatched.
UPDATE jobs SET dispatched = dispatched + :count WHERE id = :job

-- count_issued: tasks were made.
UPDATE phases SET issued = issued + :count WHERE id = :pool

-- count_finished: tasks were finished.
UPDATE phases SET finished = finished + :count WHERE id = :pool

-- count_reopened: tasks that had committed are open again, for their outputs were lost.
UPDATE phases SET finished = finished - :count, lost = lost + :count WHERE id = :pool

-- count_usage: what :tasks finished tasks took.
UPDATE phases SET metered = metered + :tasks, wall_us = wall_us + :wall_us, cpu_us = cpu_us + :cpu_us,
    max_rss_kb = CASE WHEN max_rss_kb < :max_rss_kb THEN :max_rss_kb ELSE max_rss_kb END, bytes_in = bytes_in + :bytes_in, bytes_out = bytes_out + :bytes_out
WHERE id = :pool

-- count_results: errors, outputs and retries happened; :outputs and :errors are also the last seq given out.
UPDATE jobs SET errors = errors + :errors, outputs = outputs + :outputs, retries = retries + :retries WHERE id = :job

-- insert_output: one output of the job.
INSERT INTO outputs (job, seq, name) VALUES (:job, :seq, :name)

-- insert_error: one error of the job.
INSERT INTO errors (job, seq, record, origin) VALUES (:job, :seq, :record, :origin)

-- end_phase_input: the reducers of a phase will get no more.
UPDATE phases SET input_ended = 1 WHERE id = :pool

-- finish_job: the job is done.
UPDATE jobs SET state = 'done', done = :now WHERE id = :job AND state <> 'done'

-- cancel_job: the job is cancelled.
UPDATE jobs SET cancelled = 1, input_done = 1 WHERE id = :job

-- cancel_phase: every task of the phase is over.
UPDATE phases SET finished = issued, input_ended = 1 WHERE job = :job

-- list_inputs: lines of job input after a seq.
SELECT seq, name FROM inputs WHERE job = :job AND seq > :after ORDER BY seq LIMIT :limit

-- list_outputs: outputs after a seq.
SELECT seq, name FROM outputs WHERE job = :job AND seq > :after ORDER BY seq LIMIT :limit

-- list_errors: error records after a seq.
SELECT seq, record AS name FROM errors WHERE job = :job AND seq > :after ORDER BY seq LIMIT :limit

-- list_failures: job inputs that errors came from, after a seq.
SELECT seq, origin AS name FROM errors
WHERE job = :job AND seq > :after AND origin IS NOT NULL ORDER BY seq LIMIT :limit

-- latest_failures: the seq before the :limit latest failures, or nothing if there are fewer.
SELECT seq FROM errors WHERE job = :job AND origin IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET :limit

-- jobs_of_owner: live list, in order of creation, after one of them. What is NULL is not asked for.
SELECT uuid, created FROM jobs
WHERE owner = :owner AND id > :after AND (:state = 'live' OR state = :state) AND (CAST(:name AS TEXT) IS NULL OR name = :name)
    AND (CAST(:alias AS TEXT) IS NULL OR alias = :alias) AND (CAST(:type AS TEXT) IS NULL OR coalesce(type, 'pipeline') = :type)
    AND (CAST(:status AS TEXT) IS NULL OR status = :status)
    AND (CAST(:since AS INTEGER) IS NULL OR created >= :since) AND (CAST(:before AS INTEGER) IS NULL OR created < :before)
    AND (CAST(:failed AS INTEGER) IS NULL OR errors > 0 OR status = 'failed')
ORDER BY id LIMIT :limit

-- archive_started: the archive is being written.
UPDATE jobs SET archive_started = :now WHERE id = :job

-- archive_finished: the archive is complete.
UPDATE jobs SET archive_started = :started, archive_done = :now WHERE id = :job

-- charge_account: a job was archived; what it took is its account's.
INSERT INTO usage_days (login, day, jobs, tasks, errors, wall_us, cpu_us, mb_ms, bytes_in, bytes_out)
VALUES (:login, :day, 1, :tasks, :errors, :wall_us, :cpu_us, :mb_ms, :bytes_in, :bytes_out)
ON CONFLICT (login, day) DO UPDATE SET jobs = usage_days.jobs + 1, tasks = usage_days.tasks + excluded.tasks,
    errors = usage_days.errors + excluded.errors, wall_us = usage_days.wall_us + excluded.wall_us,
    cpu_us = usage_days.cpu_us + excluded.cpu_us, mb_ms = usage_days.mb_ms + excluded.mb_ms,
    bytes_in = usage_days.bytes_in + excluded.bytes_in, bytes_out = usage_days.bytes_out + excluded.bytes_out

-- expired_jobs: jobs archived so long ago that their records are removed.
SELECT id FROM jobs WHERE archive_done < :before LIMIT :limit

-- purge_rows_of_inputs: remove a page of a job's inputs.
DELETE FROM inputs WHERE job = :job AND seq <= :upto

-- purge_rows_of_outputs: remove a page of a job's outputs.
DELETE FROM outputs WHERE job = :job AND seq <= :upto

-- purge_rows_of_errors: remove a page of a job's errors.
DELETE FROM errors WHERE job = :job AND seq <= :upto

-- purge_phases: remove a job's phases.
DELETE FROM phases WHERE job = :job

-- purge_job: remove a job.
DELETE FROM jobs WHERE id = :job

-- session_at: where the session of a job, or beside a task of it, is, if there is one.
SELECT gateway, holder FROM sessions WHERE job = :job AND task = :task

-- begin_session: a gateway has the session of a job, or beside a task of it.
INSERT INTO sessions (job, task, gateway, holder) VALUES (:job, :task, :gateway, :holder)

-- end_session: it has it no more.
DELETE FROM sessions WHERE job = :job AND task = :task AND holder = :holder

-- purge_session: a gateway that died has left it.
DELETE FROM sessions WHERE job = :job
