"""Operations: how a job whose stages are ours goes from its document to its published output.

One idea: *what an operation does next follows from its status, and each step is one transaction.* `steps` has the table
of them; whatever dies in between, the next owner of the job goes on with the same step:

    creation     the job's row, its stages, the locks on its output                   → initializing
    preparation  inputs are found with the owner's rights, and pinned, page by page   → pending
    admission    a place among the account's running operations is free               → materializing
    planning     the inputs are cut into tasks, page by page, ahead of the agents     → running
    (`tasks`)    what a committed attempt has printed is staged: kept aside, in no directory
    publication  everything that was staged gets its names, in one transaction        → completed
    ending       after a failure or an abort: no task runs, what was staged goes      → failed, aborted

`attempts` records each attempt, and how it ended. Tasks themselves are leased, run, retried and committed as those of
pipelines are (`tasks`, `agents`); what differs is their failure policy (`LiveJob.policy`), where their outputs go, and
that they read what was pinned, whatever has become of its name since.
"""
