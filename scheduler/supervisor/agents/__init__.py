"""Agents: what the supervisor knows of each node, and what it answers when a node asks for work.

An agent registers, polls, and reports. `service` is what these calls reach, and notices agents
that are silent for too long. `session` is one agent as known now: what it can take, what was
sent to it already. `leases` answers a poll: how many instances each pool should have there, and
which tasks are leased. `waiting_reasons` records, for users, why a phase has tasks that do not
run.

Sessions are memory only. A lease is in the records, so a reply that is lost on the way is given
again, and a supervisor that takes over knows who runs what.
"""
