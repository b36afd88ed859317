-- blobs_of_entries: every blob that has a name.
SELECT etag AS blob FROM entries WHERE kind = 'o' AND size > 0;

-- blobs_of_tasks: every intermediate that was made for a task.
SELECT blob FROM tasks WHERE own = 1 AND blob IS NOT NULL;

-- blobs_of_task_inputs: every intermediate that was made for a reducer.
SELECT blob FROM task_inputs WHERE own = 1;
