"""Agents: what the supervisor knows of each node, and how it answers when a node's agent asks for work.

An agent registers, polls, and reports. `service` receives these calls, and `presence` notices agents that are silent
for too long. `session` is the present state of one agent: what it can take, and what was sent to it already. `leases`
plans the answer to a poll: how many instances each pool should have there, and which tasks are leased.
`running_requests` passes on what users ask about running tasks. `waiting_reasons` records, for users, why a phase has
tasks that do not run.

Sessions are memory only. A lease is in the records, so a reply that is lost on the way is given again, and a
supervisor that takes over knows which agent runs what.
"""
