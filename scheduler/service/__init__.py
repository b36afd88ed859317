"""A service, put together: all of it on one machine (`remora up`), or a part of it that runs beside others.

`parts` are the pieces, each open for the length of a block; `run` joins all of them and an agent,
`roles` makes a gateway or a supervisor of some. Those share a PostgreSQL database and a directory
of objects, keep nothing of their own, and are told everything on the command line (`settings`).

Of `remora up` one process is the gateway and the supervisor, which share the database; a second is the
agent, which runs what users send and is therefore kept apart. All state lies in one
directory that only its user can enter:

    remora.db                 records (SQLite)
    blobs/                    objects' bytes
    instances/                work directories of running instances
    keys/                     the key pair made for the first account
    agent.secret, agent.credential, token.secret
    service.json              where the service that runs now is
    client.json               the profile by which the command line finds it
    lock                      held while a service runs

The first process owns the second by a pipe: when it dies, whatever the reason, the agent
reads the end of that pipe and ends with all its instances. If the agent dies, it is started
again; the attempts that it held are tried again.

`state` is light, for whoever only asks where a service is; `administration` brings in the
records, for whoever adds accounts and keys; `run` brings in everything.
"""
