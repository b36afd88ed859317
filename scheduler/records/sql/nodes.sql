-- see_node: a node has an agent, and its offer.
INSERT INTO nodes (name, memory_mb, disk_gb, seen, store) VALUES (:name, :memory_mb, :disk_gb, :now, :store)
ON CONFLICT (name) DO UPDATE
SET memory_mb = excluded.memory_mb, disk_gb = excluded.disk_gb, seen = excluded.seen, store = excluded.store, departed = 0

-- find_node: the store of a node, and whether its agent lives.
SELECT store, seen, departed FROM nodes WHERE name = :name

-- hear_nodes: agents of these nodes are heard, which is written again only after a while.
UPDATE nodes SET seen = :now
WHERE seen < :before AND EXISTS (SELECT 1 FROM json_each(:nodes) AS heard WHERE CAST(heard.value AS TEXT) = name)

-- node_departs: the agent of a node has ended in order.
UPDATE nodes SET departed = 1 WHERE name = :node

-- node_drains: whether the operator of a node takes it out of use (2), or no longer (0).
UPDATE nodes SET departed = :departed WHERE name = :node AND departed <> 1

-- nodes_seen: offers and stores of the nodes that had an agent lately.
SELECT name, memory_mb, disk_gb, store FROM nodes WHERE seen > :after

-- tasks_at: map tasks of a pool whose input is an intermediate on a node.
SELECT id, state FROM tasks INDEXED BY tasks_at
WHERE pool = :pool AND node = :node AND availability = 1 AND node IS NOT NULL AND reducer IS NULL ORDER BY id LIMIT :limit

-- task_inputs_at: inputs of a pool's reduce tasks that are intermediates on a node.
SELECT i.task, i.seq, t.state FROM tasks t INDEXED BY tasks_reducer CROSS JOIN task_inputs i INDEXED BY task_inputs_at
WHERE t.pool = :pool AND t.reducer IS NOT NULL AND i.task = t.id AND i.node = :node AND i.availability = 1 AND i.node IS NOT NULL
LIMIT :limit

-- nodes_of_tasks: where inputs of a pool's map tasks are.
SELECT DISTINCT node FROM tasks INDEXED BY tasks_at WHERE pool = :pool AND availability = 1 AND node IS NOT NULL

-- nodes_of_task_inputs: where inputs of a pool's reduce tasks are.
SELECT DISTINCT i.node AS node FROM tasks t INDEXED BY tasks_reducer CROSS JOIN task_inputs i INDEXED BY task_inputs_at
WHERE t.pool = :pool AND t.reducer IS NOT NULL AND i.task = t.id AND i.availability = 1 AND i.node IS NOT NULL

-- Availability of intermediates (`availability`): engine/availability.py has its states, 0 to 4, and what each event does. A statement
-- that sets one itself is named after the event, and tests/unit/records/test_statement_tables.py compares the two.

-- set_availability: the availability of a map task's input, and the task's state.
UPDATE tasks SET availability = :availability, state = :state WHERE id = :task

-- set_input_availability: the availability of an input of a reduce task.
UPDATE task_inputs SET availability = :availability WHERE task = :task AND seq = :seq

-- leave_ready: ready reduce tasks that belong to a node belong to none.
UPDATE tasks INDEXED BY tasks_ready_at SET node = NULL WHERE pool = :pool AND node = :node AND state = 'ready' AND reducer IS NOT NULL

-- leave_node: no other reduce task belongs to a node.
UPDATE tasks INDEXED BY tasks_reducer SET node = NULL WHERE pool = :pool AND reducer IS NOT NULL AND node = :node

-- place_reducer: a reduce task belongs to the node where most of its input is.
UPDATE tasks SET node = :node WHERE id = :task

-- input_by_node: how much input of a reduce task is where.
SELECT node, sum(size) AS size FROM task_inputs INDEXED BY task_inputs_at WHERE task = :task AND availability = 1 AND node IS NOT NULL GROUP BY node

-- maybe_read_tasks: map tasks whose lease was released and whose input is gone.
SELECT id, node FROM tasks INDEXED BY tasks_gone WHERE pool = :pool AND availability = 4 AND state = 'ready' ORDER BY id LIMIT :limit

-- attempt_lost_of_task: a reduce task is tried again: what it may have read and is gone is lost.
UPDATE task_inputs SET availability = 2 WHERE task = :task AND availability = 4

-- attempt_lost_of_pool: the same for all reduce tasks of a pool without a running attempt.
UPDATE task_inputs SET availability = 2
WHERE task IN (SELECT id FROM tasks INDEXED BY tasks_reducer WHERE pool = :pool AND reducer IS NOT NULL AND state IN ('waiting', 'ready'))
  AND availability = 4

-- consumer_ended_inputs: a reduce task has ended: what is gone of its input is not needed.
UPDATE task_inputs SET availability = 0 WHERE task = :task AND availability > 1

-- lost_tasks: map tasks whose input is lost, and whose producer is not reopened yet.
SELECT id, state, producer FROM tasks INDEXED BY tasks_gone WHERE pool = :pool AND availability = 2 ORDER BY id LIMIT :limit

-- lost_inputs: inputs of a pool's reduce tasks that are lost, and whose producers are not reopened yet.
SELECT i.task, i.seq, i.producer, t.state
FROM tasks t INDEXED BY tasks_reducer CROSS JOIN task_inputs i INDEXED BY task_inputs_wanted
WHERE t.pool = :pool AND t.reducer IS NOT NULL AND i.task = t.id AND i.availability = 2 LIMIT :limit

-- consumer_reopened_inputs: a reduce task is made again: a page of what it has consumed is lost.
UPDATE task_inputs SET availability = 2 WHERE task = :task AND seq IN (
    SELECT seq FROM task_inputs WHERE task = :task AND availability = 0 AND producer IS NOT NULL LIMIT :limit)

-- remake_task: a committed task is made again.
UPDATE tasks SET state = :state, availability = :availability, remakes = remakes + 1 WHERE id = :task

-- miss_producer: an output of a task was missed; how often by now.
UPDATE tasks SET missed = missed + 1 WHERE id = :task RETURNING missed

-- inputs_by_blob: which inputs of a reduce task some blobs are, for a JSON list of them.
SELECT seq, availability, producer, name FROM task_inputs
WHERE task = :task AND EXISTS (SELECT 1 FROM json_each(:blobs) AS wanted WHERE CAST(wanted.value AS TEXT) = blob)

-- tasks_made_for: map tasks whose input a task makes.
SELECT id, pool, state, availability, producer_output, input FROM tasks INDEXED BY tasks_maker WHERE producer = :task

-- inputs_made_for: inputs of reduce tasks that are made by a task.
SELECT i.task, i.seq, i.availability, i.producer_output, i.name, t.state
FROM task_inputs i INDEXED BY task_inputs_maker CROSS JOIN tasks t WHERE i.producer = :task AND t.id = i.task

-- recomputed_task: the input of a map task is there again, made anew.
UPDATE tasks SET blob = :blob, size = :size, md5 = :md5, node = :node, availability = 1, state = :state WHERE id = :task

-- recomputed_input: an input of a reduce task is there again, made anew.
UPDATE task_inputs SET blob = :blob, size = :size, node = :node, availability = 1 WHERE task = :task AND seq = :seq

-- consumed_at_nodes: a page of a finished reduce task's inputs that can be made again.
SELECT seq, blob, node FROM task_inputs INDEXED BY task_inputs_at WHERE task = :task AND availability = 1 AND node IS NOT NULL LIMIT :limit

-- is_committed: whether a task is committed.
SELECT 1 FROM tasks WHERE id = :task AND state = 'committed'

-- count_located: ready tasks of a pool by the node that they belong to.
SELECT node, count(*) AS n FROM tasks INDEXED BY tasks_ready_at
WHERE pool = :pool AND state = 'ready' AND node IS NOT NULL GROUP BY node

-- find_node_credential: which credentials of a node are valid.
SELECT node, generation, oldest, until, revoked FROM node_credentials WHERE node = :node

-- list_node_credentials: the same of all nodes whose first one was replaced or revoked.
SELECT node, generation, oldest, until, revoked FROM node_credentials ORDER BY node

-- put_node_credential: which credentials of a node are valid from now on.
INSERT INTO node_credentials (node, generation, oldest, until, revoked) VALUES (:node, :generation, :oldest, :until, :revoked)
ON CONFLICT (node) DO UPDATE SET
    generation = excluded.generation, oldest = excluded.oldest, until = excluded.until, revoked = excluded.revoked

-- list_nodes: every node that was here.
SELECT name FROM nodes ORDER BY name

-- owner_of_pool: the job of a pool, and the job's state.
SELECT jobs.uuid AS uuid, jobs.state AS state FROM phases JOIN jobs ON jobs.id = phases.job WHERE phases.id = :pool

-- set_waiting: why tasks of a phase find no instance; NULL: they do not wait for one.
UPDATE phases SET waiting = :waiting WHERE id = :pool AND coalesce(waiting, '') <> coalesce(:waiting, '')

-- waiting_phases: phases of a job that find no instance, and why.
SELECT number, waiting FROM phases WHERE job = :job AND waiting IS NOT NULL ORDER BY number
