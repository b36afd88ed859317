"""The node's side of the service: one agent per node runs tasks in instances and reports how they ended.

The agent turns leases into reports. It decides nothing about jobs: the supervisor decides which
task runs where, what an output becomes and what is retried. Therefore all state here is soft. An
agent that dies leaves no process, no half-written output, and no state that is needed later; the
supervisor gives its tasks to the next agent. Four principles follow:

- *The kernel moves the bytes.* A task's stdin is the blob, its stdout is a file that becomes a
  blob by getting a name, a reducer's stdin is a pipe that a thread splices into. The agent
  passes descriptors and reads none of them.
- *Time is spent in tasks, not between them.* The lackey already holds the next few tasks, the
  agent the next few dozen, both measured in milliseconds of work (`pacing`). Finished tasks
  share flushes, requests and transactions.
- *Nothing is an output before its task has succeeded.* What tools and HTTP requests write is
  collected in the attempt. `Reporter.report` gives it names (outputs beyond the number that can
  be held open get theirs earlier, `publish`), makes it durable and tells the supervisor, whose
  transaction makes it visible.
- *A request from inside an instance belongs to the task that runs there now.* The agent trusts
  it only as far as the kernel vouches for the process that sent it.

The life of one small map task, with the files in which it happens:

    link      a poll reply grants a lease to its pool
    pool      picks the instance that has least to do
    worker    opens the blob, links it below `input`, sends descriptors and environment
    (lackey   runs it, kills what is left of it, says DONE)
    worker    reads DONE, takes the input away
    verdict   a table says what that means
    attempt   names the stdout file, recycles the stderr file
    link      flushes, reports with whatever else has finished

The packages, from the outside in; imports run that way only:

    links     which supervisors the agent works for: polls, reports, leases
    pools     how many instances each phase has here, and which task runs where
    task_api  what a running task may ask of the service: tools' socket, HTTP
    attempts  one try of one task: input, outputs, what its end amounts to
    blobs     where bytes lie, and how they travel between nodes
    slots     how many instances this node may have

`client` is the protocol to a supervisor, `gateways` the way to a gateway, `transport` says how other
machines are reached; `options` is what an agent can be told, `state_lock` its directory.
"""
