"""Links: the supervisors that an agent works for, one link to each.

A *link* is two conversations with one supervisor (polls for work, reports of what was done) and
a lease: as long as the supervisor hears the agent, the tasks that it has leased are the agent's.

- `links` opens a link to each supervisor that lives, and closes those of supervisors that are gone.
- `supervisor_link` is one link: it registers, polls, reports, and says once a tick what runs.
- `running_requests` answers what a supervisor asks about tasks that run: their logs, and shells beside them.
- `lease` says when a supervisor does not hear the agent any more; its tasks then end here,
  before the supervisor gives them to another node.

Example: a node is cut off from supervisor 4 and not from 5. After the lease the tasks of 4's
jobs are ended; those of 5 do not notice.
"""
