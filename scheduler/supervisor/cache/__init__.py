"""The cache of live jobs: a few numbers per job and phase, kept in memory beside the records.

Which agent to wake, and how many instances a pool should have, is decided many times a second, too often to ask the
database each time. `live_jobs` holds the jobs that are not archived and, for each phase, how many tasks are ready.
`locality_index` counts the ready tasks whose input lies on a given node.

The cache changes only by what a committed transaction reports (`jobs.changes`), and is rebuilt from the records at
start: losing it loses nothing.
"""
