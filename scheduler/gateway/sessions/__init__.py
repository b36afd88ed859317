"""Interactive sessions: the terminal of a user, connected with a program that runs in a task.

Two clients meet here, because neither can be connected to: the user's `mlogin` (the *master*) and the program in the
task (the *slave*). Each sends `GET /:login/medusa/attach/:job/(master|slave)` and becomes a WebSocket. The gateway
pairs them by the job, and from then on copies their messages, which it does not read: keys and screens are none of its
business. Five things follow:

- *A session is no more than its job.* The job is created, metered, listed and cancelled as any other; a session has no
  record but the one that says where it is. It begins with a master, while its job is not done, and ends with the first
  of its two connections.
- *Only the owner attaches.* The path is the job's owner's, so `permissions` decides, as for any other path. A token of
  a job attaches only as the slave of this very job: a task cannot take over a terminal of another.
- *The order is fixed*: a master first, which hears `wait` until the slave comes; then `linkup` to both. What a client
  sends before is dropped. There is one master and one slave; a second of either is refused.
- *A shell beside a running task is such a session*, too: its master names the task (`?task=`), and the program that
  becomes its slave is started by the task's agent, which is asked as soon as the master waits. It attaches with the
  session's id, a secret, since other tasks of the job have the same token. One such session a task.
- *Memory is bounded* (`http.websocket`): a message is read when the one before it has been written.

`session` is the state and the copying, `elsewhere` the way to other gateways, `beside` what is asked of a task's agent,
`routes` the requests.

Example: jill's `mlogin` creates job 8bd3… and attaches as master. It hears `medusa:{"type":"wait"}` every two seconds.
The task starts, its program attaches as slave, both hear `medusa:{"type":"linkup"}`, and her keys are on their way.
"""
