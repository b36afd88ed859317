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
  be held open get theirs earlier, `keeping`), makes it durable and tells the supervisor, whose
  transaction makes it visible.
- *A request from inside an instance belongs to the task that runs there now.* The agent trusts
  it only as far as the kernel vouches for the process that sent it.

The life of one small map task, with the files in which it happens:

    agent     a poll reply grants a lease to its pool
    pool      picks the instance that has least to do
    worker    opens the blob, links it below `input`, sends descriptors and environment
    (lackey   runs it, kills what is left of it, says DONE)
    worker    reads DONE, takes the input away
    verdict   a table says what that means
    attempt   names the stdout file, recycles the stderr file
    agent     flushes, reports with whatever else has finished

`stores` knows where bytes lie. `exchange` serves this node's intermediates to other nodes; `supply` and
`sources` fetch theirs, by way of `fetch` and `cache`. `node` is what all components share. `tools` (with
`tool_channel`) and `endpoint` (with `entrance`, `peers`, `turns`, `forward`, `emission` and `own_outputs`)
are the two doors that tasks have. `reducer` is a reducer's input, `client` the connection to a supervisor.

There may be several supervisors, each with jobs of its own. `links` keeps an `agent` for each of them,
`contact` notices when a supervisor no longer receives our requests, and `slots` says how much of the
node serves the other supervisors.
"""
