"""Instances from Nomad: a loop that makes what is there what should be there.

`loop` compares, every second and whenever something has changed, the allocations that Nomad has
with the instances that the jobs of this supervisor should have, and asks Nomad for the
difference (`scheduler.nomad.reconcile`). `demand` says what each pool could use;
`engine.instance_counts` makes numbers of that. `unreachable` finds instances on nodes whose agent
is gone, though Nomad takes them for running.

Nothing is remembered: a supervisor that takes over reads what is there. Without Nomad this
package is not used, and agents make instances as they are told.
"""
