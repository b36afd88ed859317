"""Decisions: how a job advances, what a report means, which pools get instances, which reducer gets an object.

One idea: *deciding is separate from doing.* Everything here is a pure function: it takes what happened and the
current state, and returns what to do about it. It does no I/O, reads no clock and draws no random number; times and
draws are arguments. So a property test can check every decision in microseconds, in every order of events, and the
supervisor and the agent, which carry decisions out, make none of their own.

- `task`: a table of state × event for one task. At most one attempt is ever committed.
- `availability`: a table of state × event for one intermediate: where it stands for the task that reads it.
- `job`: from a job's counters, which phases' input has ended and whether the job is done.
- `route`: which reducer an object goes to.
- `feasibility`: whether any node can ever run a phase.
- `waiting_reason`: why none of a phase's ready tasks can run, as a sentence for the job's owner.
- `fair_share`: how many instances each pool should have on a node.
- `admission`: which of them may begin now, while others still run.
- `instance_counts`: how many instances to reserve in a cluster, and on which nodes.
- `locality`: which of its ready tasks a node is given: those near their input, as long as others need not wait.
- `max_min`: how much of a node each supervisor may use.
- `membership`: which supervisor owns which job, and which supervisor may declare another lost.
- `credential`: which credentials of a node are valid.

Example: a task is leased as attempt 2. A report of attempt 1 arrives late (its agent had been considered lost).
`task.step` looks up (LEASED, Reported), sees that the attempt is not the leased one, and answers: state unchanged,
discard the outputs. No caller has to remember the rule.
"""
