-- post_running_request: a gateway asks something about a running task.
INSERT INTO running_requests (id, job, agent, request, asked) VALUES (:id, :job, :agent, :request, :now)

-- posted_running_requests: requests without an answer, for jobs of a supervisor.
SELECT running_requests.id AS id, agent, request FROM running_requests CROSS JOIN jobs ON jobs.id = running_requests.job
WHERE answer IS NULL AND jobs.supervisor = :supervisor LIMIT 256

-- answer_running_request: the answer is here.
UPDATE running_requests SET answer = :answer WHERE id = :id

-- running_answer: the answer to a request, if there is one.
SELECT answer FROM running_requests WHERE id = :id

-- forget_running_request: its user has the answer, or waits no longer.
DELETE FROM running_requests WHERE id = :id

-- old_running_requests: whether there are any for which no user waits.
SELECT id FROM running_requests WHERE asked < :before LIMIT 1

-- forget_running_requests: remove those for which no user waits.
DELETE FROM running_requests WHERE asked < :before

-- task_of_job: one task of a job, by its number, and who holds it.
SELECT t.id, t.uuid, p.number AS phase, t.input, t.origin, CASE WHEN t.number IS NULL THEN t.reducer END AS reducer, t.number, t.state, t.attempt, t.retries, t.usage, t.agent
FROM tasks t JOIN phases p ON p.id = t.pool WHERE t.id = :task AND p.job = :job

-- leased_tasks_after: tasks of a job that agents hold, in order of their numbers, after one of them.
SELECT t.id, t.uuid, p.number AS phase, t.input, t.origin, CASE WHEN t.number IS NULL THEN t.reducer END AS reducer, t.number, t.state, t.attempt, t.retries, t.usage
FROM phases p CROSS JOIN tasks t INDEXED BY tasks_leased ON t.pool = p.id
WHERE p.job = :job AND t.state = 'leased' AND t.id > :after ORDER BY t.id LIMIT :limit
