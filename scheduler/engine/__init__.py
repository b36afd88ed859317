"""Decisions: how a job advances, what a report means, who gets instances, which reducer.

One idea: *deciding is separate from doing.* Everything here is a pure function: it takes
what happened and how things stand, and returns what should be done about it. It opens
nothing, asks no clock, draws no random number; times and draws are arguments. So every
decision can be tested in microseconds, in every order of events, by a property test, and
the code that does things (supervisor, agent) has no opinions of its own.

- `task`: a table of state × event for one task. At most one attempt is ever committed.
- `availability`: a table of state × event for one intermediate: where it stands for the task that reads it.
- `job`: from a job's counters, which phases' input has ended and whether the job is done.
- `route`: which reducer an object goes to.
- `feasibility`: whether any node can ever run a phase.
- `fair_share`: how many instances each pool should have on a node.
- `admission`: which of them may begin now, while others still run.
- `locality`: which of its ready tasks a node is given, near their bytes if that need not wait.
- `membership`: which supervisor owns which job, and who may say that one is gone.

Example: a task is leased as attempt 2. A report of attempt 1 arrives late (its agent had
been thought dead). `task.step` looks up (LEASED, Reported), sees that the attempt is not the
leased one, and answers: state unchanged, discard the outputs. Nobody had to remember the rule.
"""
