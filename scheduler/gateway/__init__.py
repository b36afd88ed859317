"""The gateway: the HTTP API in front of the supervisor's decisions and the stored bytes.

Every request takes the same steps: identify the caller (`access.authentication`), find the route by the
path (`app`), check permission (`access.permissions.permit`), and only then call a handler. A request that
fails at a step is told about that step and about no later one. Three things follow:

- A handler is only given a `Call` that was identified and permitted, so no handler checks a
  signature, and none can forget to.
- Errors are exceptions (`model.errors.WireError`) that one place turns into replies. This includes the
  requests that the HTTP parser refuses and that no handler sees (`http.protocol`).
- Nothing becomes visible before the whole request is known to be good: a body streams into a
  nameless file (`http.upload`), and naming it is the last step and one transaction.

A gateway keeps no state of jobs: it passes requests about jobs to a `supervisor.job_services.JobService`,
because the supervisor that owns the job may be another process. So any number of gateways serve one
database.

Decisions that need no I/O are modules of pure functions, such as `storage.headers`. `storage` holds the
object API, `access.tokens` the credentials that tasks use.

Example: `PUT /jill/stor/x` with `Expect: 100-continue`. The signature names jill; the path
is hers; its parent exists; its conditions hold. Only now the gateway sends `100 Continue`. The body
streams to disk and is hashed on the way, its length and MD5 agree, the file gets its name
and is synced together with other uploads, and the transaction that names the object commits.
"""
