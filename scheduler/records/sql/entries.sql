-- find_entry: one entry by directory and name.
SELECT * FROM entries WHERE dir = :dir AND name = :name;

-- find_entries: the entries that exist of a JSON list of [dir, name], each with its place `at` in the list.
SELECT wanted.key AS at, entries.*
FROM json_each(:wanted) AS wanted
CROSS JOIN entries ON entries.dir = wanted.value ->> 0 AND entries.name = wanted.value ->> 1;

-- find_replaced: of a JSON list of [dir, name, etag] the entries that are other objects by now, each with its place `at`.
SELECT wanted.key AS at, entries.*
FROM json_each(:wanted) AS wanted
CROSS JOIN entries ON entries.dir = wanted.value ->> 0 AND entries.name = wanted.value ->> 1
WHERE entries.etag <> wanted.value ->> 2;

-- put_entry: write an entry, whatever was there; the number of children stays.
INSERT INTO entries (dir, name, kind, etag, size, md5, type, copies, headers, shared, children, mtime)
VALUES (:dir, :name, :kind, :etag, :size, :md5, :type, :copies, :headers, :shared, 0, :mtime)
ON CONFLICT (dir, name) DO UPDATE SET
    kind = excluded.kind, etag = excluded.etag, size = excluded.size, md5 = excluded.md5, type = excluded.type,
    copies = excluded.copies, headers = excluded.headers, shared = excluded.shared, mtime = excluded.mtime;

-- put_directory_if_absent: a directory made in passing; one that is there stays as it is.
INSERT INTO entries (dir, name, kind, headers, shared, children, mtime)
VALUES (:dir, :name, 'd', '{}', 0, 0, :mtime) ON CONFLICT (dir, name) DO NOTHING;

-- update_metadata: replace the headers, the type and the time of an entry.
UPDATE entries SET headers = :headers, type = :type, mtime = :mtime WHERE dir = :dir AND name = :name;

-- delete_entry: remove one entry.
DELETE FROM entries WHERE dir = :dir AND name = :name;

-- entries_below: names below a directory, the deepest of each branch first.
SELECT dir, name FROM entries WHERE dir >= :dir AND dir < :beyond AND (dir = :dir OR dir >= :below)
ORDER BY dir DESC, name DESC LIMIT :limit;

-- add_children: change a directory's number of entries.
UPDATE entries SET children = children + :count WHERE dir = :dir AND name = :name;

-- mark_shared: the entry is no longer the only name of its blob.
UPDATE entries SET shared = 1 WHERE dir = :dir AND name = :name;

-- find_sharer: whether any entry still names a blob that had several names.
SELECT 1 FROM entries WHERE etag = :etag AND kind = 'o' AND size > 0 AND shared = 1 LIMIT 1;

-- list_by_name: entries of a directory from a name on, ascending.
SELECT dir, name, kind, etag, size, md5, type, copies, shared, children, mtime,
    json_patch('{}', json_object('content-disposition', headers ->> '$."content-disposition"')) AS headers
FROM entries
WHERE dir = :dir AND name >= coalesce(:marker, '') AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
ORDER BY name LIMIT :limit;

-- list_by_name_descending: entries of a directory from a name down.
SELECT dir, name, kind, etag, size, md5, type, copies, shared, children, mtime,
    json_patch('{}', json_object('content-disposition', headers ->> '$."content-disposition"')) AS headers
FROM entries
WHERE dir = :dir AND (CAST(:marker AS TEXT) IS NULL OR name <= :marker) AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
ORDER BY name DESC LIMIT :limit;

-- list_by_mtime: entries of a directory from a time on, oldest first.
SELECT dir, name, kind, etag, size, md5, type, copies, shared, children, mtime,
    json_patch('{}', json_object('content-disposition', headers ->> '$."content-disposition"')) AS headers
FROM (SELECT dir AS page_dir, name AS page_name FROM entries
      WHERE dir = :dir AND (CAST(:marker AS INTEGER) IS NULL OR mtime >= :marker) AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
      ORDER BY mtime, name LIMIT :limit) AS last
JOIN entries ON dir = page_dir AND name = page_name
ORDER BY mtime, name;

-- list_by_mtime_descending: entries of a directory from a time back, newest first.
SELECT dir, name, kind, etag, size, md5, type, copies, shared, children, mtime,
    json_patch('{}', json_object('content-disposition', headers ->> '$."content-disposition"')) AS headers
FROM (SELECT dir AS page_dir, name AS page_name FROM entries
      WHERE dir = :dir AND (CAST(:marker AS INTEGER) IS NULL OR mtime <= :marker) AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
      ORDER BY mtime DESC, name DESC LIMIT :limit) AS last
JOIN entries ON dir = page_dir AND name = page_name
ORDER BY mtime DESC, name DESC;
