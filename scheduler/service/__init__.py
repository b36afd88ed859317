"""A service, assembled: all of it on one machine (`remora up`), or a part of it that runs beside others.

`parts` are the components, each open for the length of a block; `run` joins all of them and an agent,
`roles` makes a gateway or a supervisor of some. Gateways and supervisors share a PostgreSQL database and a
directory of objects, keep no state of their own, and take all settings from the command line (`settings`).

`remora up` has two processes. The first is the gateway and the supervisor, which share the database. The second
is the agent, which runs what users send and is therefore kept apart. All state lies in one
directory that only its user can enter:

    remora.db                 records (SQLite)
    blobs/                    objects' bytes
    instances/                work directories of running instances
    keys/                     the key pair made for the first account
    agent.secret, agent.credential, token.secret
    service.json              the addresses of the running service
    client.json               the profile by which the command line finds it
    lock                      held while a service runs

The first process owns the second by a pipe: when the first dies for any reason, the agent
reads the end of that pipe and ends with all its instances. If the agent dies, it is started
again, and the attempts that it held are retried.

`state` imports little, for commands that only look a service up; `administration` also imports the
records, for commands that change accounts and keys; `run` imports everything.
"""
