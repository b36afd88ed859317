"""The loop that joins decisions, records and objects: inputs become tasks, reports become outputs.

One idea: *every change of a job is one function of a `Connection`, run in one transaction, and
the memory of the supervisor is a cache of what was committed.* Six such functions exist:

    dispatch   a page of job inputs        → tasks, inputs of reducers, errors
    lease      a pool, and room for n      → n attempts in the hands of an agent
    commit     a batch of reports          → outputs, next tasks, errors, counters
    cancel     a job                       → no open task left
    lose_page  a node that is gone         → intermediates that are lost
    mend_page  what is lost and needed     → its makers, ready once more

`writer.JobWriter` does the writing that they share: rows are collected while the function runs
and written at its end, counters move once, and then `engine.job.advance` says what follows
(end of input for reducers, the end of the job) until nothing does. So a job is never between
two states: whatever instant a process dies at, the database holds a whole step.

What a transaction changed comes back as `Changes`. The `Supervisor` applies that to its cache
(which jobs live, how many tasks of each pool are ready) and wakes whom it concerns: agents that
wait for work, clients that wait for a job. It holds a few numbers per live job and per phase,
never anything per task.

There may be many supervisors on one database, each the owner of some jobs (`membership`), and many
gateways that own none. Who does not own a job writes down what was asked for and announces it
(`job_services`, `announcements`); its owner looks. What an owner writes is refused from the instant at which
another has taken over.

Who wakes whom: gateway (inputs, end, cancel) → dispatch → agents' polls → reports → commit →
agents' polls, and at the end of a job → archive. Nothing polls.
"""
