-- Publication: the outputs of an operation get their names by statements over sets, so that 100,000 take no more calls
-- than one. All run in one transaction.

-- directories_in: whether a directory has a directory of its own.
SELECT name FROM entries WHERE dir = :dir AND kind = 'd' LIMIT 1

-- last_part: the last part of a set.
SELECT name FROM entries WHERE dir = :dir AND name >= 'part-' AND name < 'part.' ORDER BY name DESC LIMIT 1

-- doom_objects: the objects of a directory lose their names.
INSERT INTO doomed (blob) SELECT etag FROM entries WHERE dir = :dir AND kind = 'o' AND size > 0 ON CONFLICT (blob) DO NOTHING

-- delete_objects: remove the objects of a directory.
DELETE FROM entries WHERE dir = :dir AND kind = 'o'

-- publish_parts: the outputs of a stage become the parts of a set, from :first on.
INSERT INTO entries (dir, name, kind, etag, size, md5, type, copies, headers, shared, children, mtime)
SELECT :dir, 'part-' || substr(CAST(999999 + :first + row_number() OVER (ORDER BY number, output) AS TEXT), 2), 'o', blob, size,
    coalesce(md5, ''), coalesce(type, 'application/octet-stream'), 2, headers, link, 0, :now
FROM staged WHERE job = :job AND stage = :stage

-- share_links: names of blobs that have another name now.
UPDATE entries SET shared = 1
WHERE kind = 'o' AND size > 0 AND etag IN (SELECT blob FROM staged WHERE job = :job AND stage = :stage AND link = 1)

-- count_entries: a directory counts what it has.
UPDATE entries SET children = (SELECT count(*) FROM entries AS inside WHERE inside.dir = :path) WHERE dir = :dir AND name = :name

-- list_published: the parts of a set from one on are outputs of the job.
INSERT INTO outputs (job, seq, name)
SELECT :job, row_number() OVER (ORDER BY name), :dir || '/' || name FROM entries WHERE dir = :dir AND name >= :first AND name < 'part.'

-- forget_staged: the outputs of a stage are published.
DELETE FROM staged WHERE job = :job AND stage = :stage

-- count_outputs: so many outputs were published.
UPDATE jobs SET outputs = :outputs WHERE id = :job
