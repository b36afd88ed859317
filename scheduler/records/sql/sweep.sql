-- blobs_of_entries: every blob that has a name.
SELECT etag AS blob FROM entries WHERE kind = 'o' AND size > 0;

-- blobs_of_tasks: every intermediate that was made for a task.
SELECT blob FROM tasks WHERE availability = 1 AND blob IS NOT NULL;

-- blobs_of_task_inputs: every intermediate that was made for a reducer.
SELECT blob FROM task_inputs WHERE availability = 1;

-- blobs_of_pins: every blob that an operation reads.
SELECT blob FROM pins WHERE size > 0;

-- blobs_of_staged: every output that an operation has not published yet.
SELECT blob FROM staged WHERE size > 0;

-- wanted_at_node: of a JSON list of blobs, the intermediates on a node that are still needed.
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN tasks ON blob = CAST(asked.value AS TEXT)
WHERE availability = 1 AND node = :node
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN task_inputs ON blob = CAST(asked.value AS TEXT)
WHERE availability = 1 AND node = :node;

-- blobs_referred_to: of a JSON list of blobs, those that an object or an intermediate refers to.
SELECT etag AS blob FROM json_each(:blobs) AS asked CROSS JOIN entries ON etag = CAST(asked.value AS TEXT)
WHERE kind = 'o' AND size > 0
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN tasks ON blob = CAST(asked.value AS TEXT) WHERE availability = 1
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN task_inputs ON blob = CAST(asked.value AS TEXT) WHERE availability = 1
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN pins ON blob = CAST(asked.value AS TEXT) WHERE size > 0
UNION ALL
SELECT blob FROM json_each(:blobs) AS asked CROSS JOIN staged ON blob = CAST(asked.value AS TEXT) WHERE size > 0;
