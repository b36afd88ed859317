"""Pools: how many instances each phase has on this node, and which task runs where.

A *pool* is the tasks of one phase of one job on this node, with the instances that run them.
A *worker* is one instance and the attempts that were handed to its lackey.

- `pool` asks for as many instances as the supervisor says, and fills them with tasks.
- `instances` has as many as that, each with a worker; `instance_factory` makes and ends one, and
  `assets` copies objects into it.
- `worker` speaks with the lackey; `pacing` says how many tasks it holds ahead, by their length.
- `shells` are those of users, beside running tasks.
- `tier_limits`, `disk_count` and `disk_pressure` end tasks that take more than their tier or
  than the machine has, where the kernel does not.
- `preparation` fetches inputs and looks at slices before tasks may start; `conclusion` looks at
  attempts that have ended before they are reported; `completion` makes the reports, also of
  tasks that never ran: lost, given back, skipped.
- `context` is what all of them share: settings, stores, slots, the client.

Example: a poll grants phase 0 three tasks and two instances. The pool makes two workers, gives
the first two tasks to one each, and the third to the one that is done first.
"""
