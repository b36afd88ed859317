-- What the finished tasks of a phase took together. Moved in the transaction that commits a report.
ALTER TABLE phases ADD COLUMN metered INTEGER NOT NULL DEFAULT 0;     -- finished tasks whose usage is known
ALTER TABLE phases ADD COLUMN wall_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE phases ADD COLUMN cpu_us INTEGER NOT NULL DEFAULT 0;      -- user and system
ALTER TABLE phases ADD COLUMN max_rss_kb INTEGER NOT NULL DEFAULT 0;  -- of the largest task
ALTER TABLE phases ADD COLUMN bytes_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE phases ADD COLUMN bytes_out INTEGER NOT NULL DEFAULT 0;

UPDATE phases SET (metered, wall_us, cpu_us, max_rss_kb, bytes_in, bytes_out) = (
    SELECT count(*), coalesce(sum(CAST(usage ->> 'wall_us' AS INTEGER)), 0), coalesce(sum(CAST(usage ->> 'user_us' AS INTEGER) + CAST(usage ->> 'sys_us' AS INTEGER)), 0),
        coalesce(max(CAST(usage ->> 'max_rss_kb' AS INTEGER)), 0), coalesce(sum(CAST(usage ->> 'bytes_in' AS INTEGER)), 0), coalesce(sum(CAST(usage ->> 'bytes_out' AS INTEGER)), 0)
    FROM tasks WHERE pool = phases.id AND usage IS NOT NULL AND state IN ('committed', 'failed')
);
