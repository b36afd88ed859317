-- post_log_request: a gateway wants a page of the log of a running task.
INSERT INTO log_requests (id, job, agent, request, asked) VALUES (:id, :job, :agent, :request, :now)

-- posted_log_requests: requests without an answer, for jobs of a supervisor.
SELECT log_requests.id AS id, agent, request FROM log_requests CROSS JOIN jobs ON jobs.id = log_requests.job
WHERE page IS NULL AND jobs.supervisor = :supervisor LIMIT 256

-- answer_log_request: the page is here.
UPDATE log_requests SET page = :page WHERE id = :id

-- log_request: a request and its answer, if there is one.
SELECT page FROM log_requests WHERE id = :id

-- forget_log_request: the reader has the answer, or waits no longer.
DELETE FROM log_requests WHERE id = :id

-- old_log_requests: whether there are any that no reader waits for.
SELECT id FROM log_requests WHERE asked < :before LIMIT 1

-- forget_log_requests: remove those that no reader waits for.
DELETE FROM log_requests WHERE asked < :before

-- task_of_job: one task of a job, by its number, and who holds it.
SELECT t.id, t.uuid, p.number AS phase, t.input, t.origin, CASE WHEN t.number IS NULL THEN t.reducer END AS reducer, t.number, t.state, t.attempt, t.retries, t.usage, t.agent
FROM tasks t JOIN phases p ON p.id = t.pool WHERE t.id = :task AND p.job = :job

-- leased_tasks_after: tasks of a job that agents hold, in order of their numbers, after one of them.
SELECT t.id, t.uuid, p.number AS phase, t.input, t.origin, CASE WHEN t.number IS NULL THEN t.reducer END AS reducer, t.number, t.state, t.attempt, t.retries, t.usage
FROM phases p CROSS JOIN tasks t INDEXED BY tasks_leased ON t.pool = p.id
WHERE p.job = :job AND t.state = 'leased' AND t.id > :after ORDER BY t.id LIMIT :limit
