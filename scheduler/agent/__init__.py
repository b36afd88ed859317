"""One per node: owns instances, feeds reducers, captures outputs, answers what tasks ask.

The agent turns leases into reports. It decides nothing about jobs: which task runs where,
what an output becomes and what is tried again are the supervisor's. So everything here is
soft: an agent that dies leaves no process, no half-written output, and no state that anybody
needs, and the supervisor gives its tasks to the next one. From that follow the four ideas:

- *The kernel moves the bytes.* A task's stdin is the blob, its stdout is a file that becomes
  one by getting a name, a reducer's stdin is a pipe that a thread splices into. The agent
  passes descriptors and reads none of them.
- *Time is spent in tasks, not between them.* A lackey holds the next few tasks already, the
  agent the next few dozen, both measured in milliseconds of work (`pacing`); finished ones
  share flushes, requests and transactions.
- *Nothing is an output before its task has succeeded.* What tools and HTTP requests write
  collects in the attempt. It gets names in `Reporter.report` (what is too much to hold open gets
  them before, `keeping`), becomes durable, and is then told to the supervisor, whose transaction makes it visible.
- *Whoever asks from inside an instance asks for the task that runs there now,* and is
  believed only as far as the kernel vouches for him.

The life of one small map task, with the files in which it happens:

    agent     a poll reply grants a lease to its pool
    pool      picks the instance that has least to do
    worker    opens the blob, links it below `input`, sends descriptors and environment
    (lackey   runs it, kills what is left of it, says DONE)
    worker    reads DONE, takes the input away
    verdict   a table says what that means
    attempt   names the stdout file, recycles the stderr file
    agent     flushes, reports with whatever else has finished

`stores` knows where bytes lie; `exchange` gives other nodes ours, and `supply` and `sources`, by `fetch` and
`cache`, bring theirs. `node` is what they all share, `tools` (with `tool_channel`) and `endpoint` (with
`entrance`, `peers`, `turns`, `forward`, `emission` and `own_outputs`) are the two doors that tasks have,
`reducer` is a reducer's input, `client` the way to a supervisor.

There may be several supervisors, each with jobs of its own: `links` keeps an `agent` for each of
them, `contact` notices when one does not hear us any more, and `slots` says what serves the others.
"""
