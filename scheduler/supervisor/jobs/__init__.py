"""Jobs: what users do to them and how they end, each step one transaction.

`intake` creates jobs and takes inputs; `dispatch` makes tasks of a page of inputs, and `resolve` finds the objects
behind their names with the owner's rights. `cancel` ends a job early, and `archive` makes a directory of one that is
done. `retention` deletes records and intermediates that are no longer needed, `expiry` archived jobs that their account
no longer keeps, page by page.

All of them write by `writer`: it collects rows while a transaction runs and writes them at its end, and it reports by
`changes` what the cache in memory must learn. `error_records`, `usage` and `status` are the documents about a job that
users read.
"""
