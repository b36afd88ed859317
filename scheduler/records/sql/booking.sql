-- owner_of_pool: the job of a pool, and the job's state.
SELECT jobs.uuid AS uuid, jobs.state AS state FROM phases JOIN jobs ON jobs.id = phases.job WHERE phases.id = :pool

-- set_waiting: why tasks of a phase find no instance; NULL: they do not wait for one.
UPDATE phases SET waiting = :waiting WHERE id = :pool AND coalesce(waiting, '') <> coalesce(:waiting, '')

-- waiting_phases: phases of a job that find no instance, and why.
SELECT number, waiting FROM phases WHERE job = :job AND waiting IS NOT NULL ORDER BY number
