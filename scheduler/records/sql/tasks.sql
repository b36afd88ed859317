-- insert_map_task: a map task, ready at once.
INSERT INTO tasks (uuid, pool, state, input, origin, blob, size, md5, availability, node, producer, producer_output, ready)
VALUES (:uuid, :pool, 'ready', :input, :origin, :blob, :size, :md5, :availability, :node, :producer, :producer_output, :now)

-- insert_reduce_task: a reduce task, waiting for its first input.
INSERT INTO tasks (uuid, pool, state, reducer) VALUES (:uuid, :pool, 'waiting', :reducer)

-- insert_task_input: one input of a reduce task.
INSERT INTO task_inputs (task, seq, name, origin, blob, size, availability, node, producer, producer_output)
VALUES (:task, :seq, :name, :origin, :blob, :size, :availability, :node, :producer, :producer_output)

-- reduce_tasks: the reduce tasks of a phase, by reducer.
SELECT id, reducer, state, arrived, node FROM tasks INDEXED BY tasks_reducer WHERE pool = :pool AND reducer IS NOT NULL ORDER BY reducer

-- reduce_tasks_of: some reduce tasks of a phase, for a JSON list of reducers.
SELECT tasks.id AS id, reducer, state, arrived, node FROM json_each(:reducers) AS wanted
CROSS JOIN tasks INDEXED BY tasks_reducer ON pool = :pool AND reducer IS NOT NULL AND reducer = CAST(wanted.value AS INTEGER)

-- inputs_arrived: a reduce task got inputs; a waiting one becomes ready.
UPDATE tasks SET arrived = :arrived, state = CASE state WHEN 'waiting' THEN 'ready' ELSE state END, ready = coalesce(ready, :now) WHERE id = :task

-- inputs_ended: no input will arrive any more: waiting reducers may run.
UPDATE tasks INDEXED BY tasks_reducer SET state = 'ready', ready = :now WHERE pool = :pool AND reducer IS NOT NULL AND state = 'waiting'

-- tasks_for_reports: what reports are judged against, for a JSON list of tasks.
SELECT tasks.id AS id, uuid, pool, state, attempt, retries, failures, remakes, agent, input, origin, blob, size, availability, reducer, node, producer, usage, number, ready, leased, ran
FROM json_each(:tasks) AS wanted CROSS JOIN tasks ON tasks.id = CAST(wanted.value AS INTEGER)

-- update_task: what an event changed, and where the task's input stands.
UPDATE tasks SET state = :state, retries = :retries, failures = :failures, agent = NULL, usage = :usage, availability = :availability, ran = :ran WHERE id = :task

-- lease_tasks: hand ready tasks of a pool that belong to no node to an agent, oldest first.
UPDATE tasks SET state = 'leased', agent = :agent, attempt = attempt + 1, leased = :now
WHERE id IN (SELECT id FROM tasks INDEXED BY tasks_ready_at
             WHERE pool = :pool AND node IS NULL AND state = 'ready' ORDER BY node, id LIMIT :limit)
  AND (SELECT finished < issued FROM phases WHERE id = :pool)
RETURNING id, uuid, pool, attempt, input, origin, blob, size, md5, availability, reducer, node, number

-- lease_tasks_at: hand ready tasks of a pool that belong to a node to an agent, oldest first.
UPDATE tasks SET state = 'leased', agent = :agent, attempt = attempt + 1, leased = :now
WHERE id IN (SELECT id FROM tasks INDEXED BY tasks_ready_at
             WHERE pool = :pool AND node = :node AND state = 'ready' ORDER BY id LIMIT :limit)
  AND (SELECT finished < issued FROM phases WHERE id = :pool)
RETURNING id, uuid, pool, attempt, input, origin, blob, size, md5, availability, reducer, node, number

-- feed_page: inputs of a reduce task after a seq.
SELECT seq, name, blob, size, availability, node, start, length, skip, upto, NULL AS part, 0 AS dictionary FROM task_inputs WHERE task = :task AND seq > :after ORDER BY seq LIMIT :limit

-- leased_by_agent: the tasks that an agent holds.
SELECT id, uuid, pool, state, attempt, retries, failures, remakes, agent, input, origin, blob, size, availability, reducer, node, producer, usage, number, ready, leased, ran
FROM tasks INDEXED BY tasks_leased WHERE state = 'leased' AND agent = :agent ORDER BY id LIMIT :limit

-- phases_after: phases of a job from the one on that has a task, which is `after` in that; from the first with an :after of 0.
WITH last AS (SELECT number FROM phases WHERE job = :job AND id = (SELECT pool FROM tasks WHERE id = :after))
SELECT id, number, CASE WHEN number = (SELECT number FROM last) THEN :after ELSE 0 END AS after FROM phases
WHERE job = :job AND number >= coalesce((SELECT number FROM last), 0) AND (CAST(:stage AS INTEGER) IS NULL OR number = :stage)
ORDER BY number

-- tasks_of_phase_after: tasks of a phase by age, after one of them.
SELECT t.id, t.uuid, CAST(:phase AS INTEGER) AS phase, t.input, t.origin, CASE WHEN t.number IS NULL THEN t.reducer END AS reducer, t.number, t.state, t.attempt, t.retries, t.usage
FROM tasks t
WHERE t.pool = :pool AND t.id > :after AND (t.number IS NULL OR t.number >= 0)
  AND (CAST(:number AS INTEGER) IS NULL OR t.number = :number) AND (CAST(:state AS TEXT) IS NULL OR t.state = :state)
ORDER BY t.id LIMIT :limit

-- runs_of_job: tasks of a job that have ended and say when they ran; every :stride-th of them.
SELECT t.uuid, p.number AS phase, t.state, t.input, t.usage, t.ran
FROM phases AS p CROSS JOIN tasks AS t ON t.pool = p.id
WHERE p.job = :job AND t.ran IS NOT NULL AND t.id % CAST(:stride AS INTEGER) = 0 ORDER BY p.number, t.id

-- count_ready: how many tasks of a pool wait for an agent.
SELECT count(*) AS n FROM tasks INDEXED BY tasks_ready_at WHERE pool = :pool AND state = 'ready'

-- leased_of_pool: attempts of a pool that agents hold.
SELECT tasks.id, uuid, attempt, agent, input, origin, reducer, agents.node
FROM tasks INDEXED BY tasks_leased LEFT JOIN agents ON agents.id = tasks.agent
WHERE pool = :pool AND state = 'leased' ORDER BY tasks.id LIMIT :limit

-- running_of_pool: tasks of a pool that agents hold, as a report is judged against them.
SELECT id, uuid, pool, state, attempt, retries, failures, remakes, agent, input, origin, blob, size, availability, reducer, node, producer, usage, number
FROM tasks INDEXED BY tasks_leased WHERE pool = :pool AND state = 'leased' LIMIT :limit

-- ready_of_pool: tasks of a pool that wait for an agent, as a report is judged against them.
SELECT id, uuid, pool, state, attempt, retries, failures, remakes, agent, input, origin, blob, size, availability, reducer, node, producer, usage, number, ready, leased, ran
FROM tasks INDEXED BY tasks_ready_at WHERE pool = :pool AND state = 'ready' LIMIT :limit

-- cancel_ready: cancel a page of the ready tasks of this pool.
UPDATE tasks SET state = 'cancelled'
WHERE id IN (SELECT id FROM tasks INDEXED BY tasks_ready_at WHERE pool = :pool AND state = 'ready' LIMIT :limit)

-- cancel_leased: no running attempt of this pool counts any more.
UPDATE tasks INDEXED BY tasks_leased SET state = 'cancelled', agent = NULL WHERE pool = :pool AND state = 'leased'

-- cancel_waiting: no reducer of this pool starts any more.
UPDATE tasks INDEXED BY tasks_reducer SET state = 'cancelled' WHERE pool = :pool AND reducer IS NOT NULL AND state = 'waiting'

-- cancel_waiting_maps: no map task of this pool waits for its input to be made again.
UPDATE tasks INDEXED BY tasks_gone SET state = 'cancelled', availability = 0
WHERE pool = :pool AND (availability = 2 OR availability = 3 OR availability = 4) AND state = 'waiting' AND reducer IS NULL

-- cancel_task: a task that may still run is given up.
UPDATE tasks SET state = 'cancelled', agent = NULL WHERE id = :task AND state IN ('waiting', 'ready', 'leased')

-- return_lease: a lease that has come to nothing before it reached a node.
UPDATE tasks SET state = 'ready', agent = NULL WHERE id = :task AND state = 'leased'

-- task_of_stage: a task of an operation, by its stage and its number there, as a report is judged against it.
SELECT tasks.id AS id, uuid, pool, tasks.state AS state, attempt, retries, failures, remakes, agent, input, origin, blob, size, availability, reducer, node, producer, usage, tasks.number AS number
FROM phases CROSS JOIN tasks INDEXED BY tasks_number
WHERE phases.job = :job AND phases.number = :stage AND tasks.pool = phases.id AND tasks.number = :number AND tasks.number IS NOT NULL

-- consumed_task_inputs: intermediates that a finished reducer has consumed.
SELECT seq, blob, size, availability, node FROM task_inputs WHERE task = :task ORDER BY seq LIMIT :limit

-- forget_task_inputs: remove rows of a reducer's inputs, up to a seq.
DELETE FROM task_inputs WHERE task = :task AND seq <= :upto

-- finished_with_inputs: finished reduce tasks of a job that still have rows of inputs; those of operations only while they own some.
SELECT t.id FROM tasks t JOIN phases p ON t.pool = p.id
WHERE p.job = :job AND t.reducer IS NOT NULL AND t.state IN ('committed', 'failed', 'cancelled')
  AND EXISTS (SELECT 1 FROM task_inputs i WHERE i.task = t.id AND (t.number IS NULL OR i.availability > 0))
LIMIT :limit

-- over_with_blobs: map tasks of a pool that is over and still own an intermediate.
SELECT id, blob, size, node FROM tasks INDEXED BY tasks_at WHERE pool = :pool AND availability = 1 LIMIT :limit

-- consumer_ended_tasks: a map task has ended, and its intermediate is gone.
UPDATE tasks SET availability = 0 WHERE id = :task

-- purge_tasks: remove a page of a pool's tasks.
DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE pool = :pool LIMIT :limit)

-- insert_agent: an agent registers.
INSERT INTO agents (node, registered) VALUES (:node, :now)
