"""The supervisor joins decisions, records and objects: inputs become tasks, reports become outputs.

One idea: *every change of a job is one function of a `Connection`, run in one transaction, and the memory of the
supervisor is a cache of what was committed.* Six such functions exist:

    dispatch       a page of job inputs        → tasks, inputs of reducers, errors
    lease          a pool, and room for n      → n attempts leased to an agent
    commit         a batch of reports          → outputs, next tasks, errors, counters
    cancel         a job                       → no open task left
    lose_page      a lost node                 → intermediates that are lost
    recover_page   lost intermediates that     → their producers, ready once more
                   are needed

`jobs.writer.JobWriter` does the writing that they share: rows are collected while the function runs and written at its
end, counters move once, and then `engine.job.advance` says what follows (end of input for reducers, the end of the
job) until nothing does. So a job is never between two states: at whatever instant a process dies, the database holds
a whole step.

Each transaction returns its `Changes`. The `Supervisor` applies them to its cache (the live jobs, the number of ready
tasks of each pool) and wakes those concerned: agents that wait for work, clients that wait for a job. The cache holds
a few numbers per live job and per phase, never anything per task.

Many supervisors may share one database, each the owner of some jobs (`membership`), with many gateways that own none. A
process that does not own a job records what was requested and announces it (`job_services`, `announcements`); the owner
reads it. From the instant at which another supervisor has taken over, the former owner's writes are refused.

Wake-ups follow the data: gateway (inputs, end, cancel) → dispatch → agents' polls → reports → commit → agents' polls,
and at the end of a job → archive. Nothing polls the database.
"""
