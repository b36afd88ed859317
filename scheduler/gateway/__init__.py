"""The front door: HTTP in, decisions and bytes behind it.

Every request goes the same way: *who asks* (`authentication`), *what for* (`app` routes by path),
*may he* (`permissions.permit`), and only then a handler. Whoever fails at a step learns of that
step and of nothing behind it. Three things follow:

- A handler is only ever given a `Call` that was identified and permitted, so no handler
  checks a signature, and none can forget to.
- Errors are exceptions (`model.errors.WireError`) that one place turns into replies; also
  what the HTTP parser refuses, which no handler ever sees (`protocol`).
- Nothing is written before the whole request is known to be good: a body streams into a
  nameless file (`upload`), and naming it is the last step and one transaction.

A gateway keeps no state of jobs: what is asked of them goes to a `supervisor.job_services.JobService`, and
whoever owns the job may be in another process. So any number of gateways serve one database.

Decisions that need no I/O are modules of pure functions: `conditions`, `ranges`,
`headers`. `storage` holds the object API, `tokens` what tasks prove themselves with.

Example: `PUT /jill/stor/x` with `Expect: 100-continue`. The signature names jill; the path
is hers; its parent exists; its conditions hold: only now `100 Continue` is sent, the body
streams to disk and is hashed on the way, its length and MD5 agree, the file gets its name,
is synced with others that wait for the same, and the transaction that names it commits.
"""
