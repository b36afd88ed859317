"""Reservations: the places of instances in a cluster that is managed by Nomad.

Nomad knows which machine has free memory and disk, which job may preempt which, and which machine
has died. Remora knows what an instance is, and how to start a task in a millisecond. So the work is
divided: *an allocation is an instance, never a task*. An allocation runs a `launcher`, which only
stays connected to its node's agent; as long as it does, the agent may have one instance of that
tier for that pool. Four consequences follow:

- There is one Nomad job for each (pool, node or any, tier), and its `count` is the number of wanted
  instances (`job_documents`). Its id is made of these three, and it is registered on the condition that
  it does not exist, so a registration that is repeated, even after a crash, has one effect.
- The actual state is read from Nomad; the desired state is computed from our records; `reconcile`
  returns the instructions that remove the difference. So no state is kept, and a supervisor that
  takes over continues where the last one stopped.
- Nomad's events only name *what to read again* (`events`): its buffer is short, and a missed event
  cannot be told from one that did not happen. The job and its allocations are then read by
  requests.
- An instance that is not needed any more is ended by its agent, which knows which one is idle; its
  launcher then ends successfully, and a batch job's allocation that ended successfully is not
  replaced. Nomad is asked for fewer only when what we asked for was not placed yet.

So Nomad is never between a task and its instance: while it is down, tasks run on, and only new
instances wait.

Example: job 5f0c91aa wants 6 instances of 1 GiB for phase 0, two of them on node n1, where
its input lies. `remora.5f0c91aa.0.676b8bb8.m1024d8` gets count 2, `remora.5f0c91aa.0.any.m1024d8`
count 4. Six launchers call, six instances run 10,000 tasks; then the agents end them one by
one, and the two jobs are purged.
"""
