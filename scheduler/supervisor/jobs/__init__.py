"""Jobs: what users do to them and how they end, each step one transaction.

`intake` creates jobs and takes inputs; `dispatch` makes tasks of a page of inputs, and
`resolve` finds the objects behind their names with the owner's rights. `cancel` ends a job
early, `archive` makes a directory of one that is done, and `retention` deletes what nobody
needs any more, page by page.

All of them write by `writer`: it collects rows while a transaction runs and writes them at its
end, and it tells by `changes` what the cache in memory must learn. `error_records`, `usage` and
`status` are the documents that users read of a job.
"""
