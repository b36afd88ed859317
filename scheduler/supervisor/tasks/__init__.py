"""Tasks: what reports of attempts become, each batch one transaction.

`commit` judges reports by the table of `engine.task`: each gets a verdict (`verdicts`), and outputs get their names.
`effects` writes what follows: the next phase gets tasks or input, counters move. `blob_ownership` says which blobs a
report may name, so that a node is believed about its own attempts only; `outputs` answers what running tasks ask about
names.

`recovery` recomputes intermediates that were lost with their node: the tasks that made them (their lineage) run again,
and the tasks that need them wait until then.

Example: node n7 dies with 40 intermediates, 10 of which no task needs any more. 30 tasks that are done become ready
again; the job's outputs do not change.
"""
