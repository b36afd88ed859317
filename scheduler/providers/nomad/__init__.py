"""Instances that a cluster has booked for us.

Nomad knows which machine has memory and disk to spare, who may take whose place, and which
machine has died. We know what an instance is, and how to start a task in a millisecond. So
the work is divided: *an allocation is an instance, never a task*. What an allocation runs is
a `launcher`, which does nothing but stay connected to its node's agent; as long as it does,
the agent may have one instance of that tier for that pool. Four things follow:

- One Nomad job for each (pool, node or any, tier), and its `count` is the number of instances
  that we want (`documents`). Its id says what it stands for, and it is registered on the
  condition that there is none, so whoever asks twice, or after a crash, has asked once.
- What is, is read from Nomad; what should be, is computed from our records; `reconcile` says
  what to do about the difference. So nothing needs to be remembered, and a supervisor that
  takes over goes on where the last one stopped.
- Nomad's events only say *where to look* (`events`): its buffer is short, and what was missed
  cannot be told from what did not happen. Looking is a request for the job and its allocations.
- An instance that is not needed any more is ended by its agent, who knows which one is idle;
  its launcher then ends well, and a batch job's allocation that ended well is not replaced.
  Nomad is only ever asked for fewer when what we asked for was not placed yet.

So Nomad is never between a task and its instance: while it is out, tasks go on, and only new
instances wait.

Example: job 5f0c91aa wants 6 instances of 1 GiB for phase 0, two of them on node n1, where
its input lies. `remora.5f0c91aa.0.676b8bb8.m1024d8` gets count 2, `remora.5f0c91aa.0.any.m1024d8`
count 4. Six launchers call, six instances run 10,000 tasks; then the agents end them one by
one, and the two jobs are purged.
"""
