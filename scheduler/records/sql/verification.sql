-- references_page: the next blobs that the records need in the shared store, by id, each with a name, its size and its MD5 if known.
-- A blob with many names comes many times.
SELECT * FROM (
    SELECT * FROM (
        SELECT etag AS blob, dir || '/' || name AS name, size, md5 FROM entries INDEXED BY entries_blob
        WHERE kind = 'o' AND size > 0 AND etag > :after AND etag < :upto ORDER BY etag LIMIT :limit
    ) AS named
    UNION ALL
    SELECT * FROM (
        SELECT blob, name, size, md5 FROM pins INDEXED BY pins_blob
        WHERE size > 0 AND blob > :after AND blob < :upto ORDER BY blob LIMIT :limit
    ) AS pinned
    UNION ALL
    SELECT * FROM (
        SELECT blob, 'a staged output' AS name, size, md5 FROM staged INDEXED BY staged_blob
        WHERE size > 0 AND blob > :after AND blob < :upto ORDER BY blob LIMIT :limit
    ) AS kept
    UNION ALL
    SELECT * FROM (
        SELECT blob, coalesce(input, '') AS name, size, NULL AS md5 FROM tasks INDEXED BY tasks_blob
        WHERE availability = 1 AND node IS NULL AND size > 0 AND state IN ('waiting', 'ready', 'leased') AND blob > :after AND blob < :upto
        ORDER BY blob LIMIT :limit
    ) AS mapped
    UNION ALL
    SELECT * FROM (
        SELECT i.blob, i.name, i.size, NULL AS md5 FROM task_inputs AS i INDEXED BY task_inputs_blob CROSS JOIN tasks AS t ON t.id = i.task
        WHERE i.availability = 1 AND i.node IS NULL AND i.size > 0 AND t.state IN ('waiting', 'ready', 'leased') AND i.blob > :after AND i.blob < :upto
        ORDER BY i.blob LIMIT :limit
    ) AS reduced
) AS needed
ORDER BY blob LIMIT :limit;

-- references_of_job: the blobs that one job needs: objects below its directory, what it has pinned and staged, inputs of open tasks.
SELECT etag AS blob, dir || '/' || name AS name, size, md5 FROM entries
WHERE kind = 'o' AND size > 0 AND dir >= :directory AND dir < :beyond
UNION ALL
SELECT blob, name, size, md5 FROM pins WHERE job = :job AND size > 0
UNION ALL
SELECT blob, 'a staged output' AS name, size, md5 FROM staged WHERE job = :job AND size > 0
UNION ALL
SELECT tasks.blob, coalesce(tasks.input, '') AS name, tasks.size, NULL AS md5 FROM phases CROSS JOIN tasks ON tasks.pool = phases.id
WHERE phases.job = :job AND availability = 1 AND node IS NULL AND size > 0 AND state IN ('waiting', 'ready', 'leased')
UNION ALL
SELECT i.blob, i.name, i.size, NULL AS md5 FROM phases CROSS JOIN tasks AS t ON t.pool = phases.id CROSS JOIN task_inputs AS i ON i.task = t.id
WHERE phases.job = :job AND i.availability = 1 AND i.node IS NULL AND i.size > 0 AND t.state IN ('waiting', 'ready', 'leased');

-- directories_page: the next directories, by path, that have entries.
SELECT DISTINCT dir FROM entries WHERE dir > :after ORDER BY dir LIMIT :limit;

-- recount_children: a directory counts as many entries as it has.
UPDATE entries SET children = (SELECT count(*) FROM entries AS child WHERE child.dir = :path) WHERE dir = :dir AND name = :name;

-- remove_key_of_none: a key without an account.
DELETE FROM keys WHERE login = :login AND fingerprint = :fingerprint AND NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.login = :login);
