"""Workers: further gateway processes of one machine's service, which share its address (`remora up --workers N`).

A gateway computes in one process at a time, so one process serves no more requests than one processor can. N processes
listen on the same address (SO_REUSEPORT), and the kernel divides connections among them. The first is the service
itself, with the supervisor; the others are its forks and serve users' requests alone. Four things follow:

- They share the file of the records. SQLite lets one process write at a time, and a commit carries all that waits in
  its process, so two processes commit half as much each, twice as often.
- Announcements stay in a process where the records are a file. So each worker has a socket to the service, over which
  both pass on what they hear (`relay`); the service passes on to the others what it hears from one.
- Agents need the supervisor, and only the service has it. So the service has an address of its own besides, on
  loopback, which its agent uses; and so has each worker, for the other end of an interactive session.
- A worker lives as long as its socket: it ends when the service does, for whatever reason. If a worker ends by itself,
  the others serve on, and the log says so.

A worker is forked before the service starts a thread, and waits until it is told the port and the secrets.

Example: `remora up --workers 2`. A job is created by a connection of the worker, which records it and announces `jobs`;
the service hears that over the socket, claims the job, and announces `news 17`, for which the worker's client waits.
"""
