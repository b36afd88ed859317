-- blobs_of_entries: every blob that has a name.
SELECT etag AS blob FROM entries WHERE kind = 'o' AND size > 0;

-- blobs_of_tasks: every intermediate that was made for a task.
SELECT blob FROM tasks WHERE own = 1 AND blob IS NOT NULL;

-- blobs_of_task_inputs: every intermediate that was made for a reducer.
SELECT blob FROM task_inputs WHERE own = 1;

-- wanted_at_nodes: of a JSON list of blobs, the intermediates on nodes that somebody still needs.
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN tasks ON blob = CAST(asked.value AS TEXT)
WHERE own = 1 AND node IS NOT NULL
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN task_inputs ON blob = CAST(asked.value AS TEXT)
WHERE own = 1 AND node IS NOT NULL;
