"""A terminal of ours at a program in a task: the user's side of an interactive session.

The session is a WebSocket to the gateway, which pairs it with the service's own program for the purpose: the command of
a job of one phase, or beside a task that runs. Nothing of it waits for a thread: one loop watches the keyboard, the
window and the connection, reads keys only when the last ones are sent, and shows output as it comes.

- `frames` is the WebSocket protocol, without I/O; `connection` the same over a socket, plain or TLS.
- `keys` finds the user's escapes (`~.`) among what is typed.
- `screen` is the terminal: raw while the remote program has it, and restored whatever happens.
- `places` are that job and that task.
- `session` is the order of things: place, connection, input, `start`, the loop, the end.

Example: `mlogin ~~/stor/lear.txt` creates the job, attaches, adds the object and ends the input. `wait` messages turn a
spinner. After `linkup` it sends `start` with the window's size, hears `started`, and from then on keys go out and the
screen comes in. `exit` has the program's status, which becomes that of `mlogin`.
"""
