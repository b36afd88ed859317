"""Instances from Nomad: a reconcile loop that makes the actual instances match the wanted ones.

`loop` compares, every second and whenever something has changed, the allocations that Nomad has with the instances
that the jobs of this supervisor should have, and asks Nomad for the difference (`scheduler.nomad.reconcile`). `demand`
says what each pool could use; `engine.instance_counts` computes the numbers. `unreachable` finds instances on nodes
whose agent is gone, although Nomad counts them as running.

The loop has no state to lose: a supervisor that takes over reads Nomad's. Without Nomad this package is not used, and
agents make instances as the supervisor tells them.
"""
