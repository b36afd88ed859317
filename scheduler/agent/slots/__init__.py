"""Slots: how many instances this node may have, and of which size.

A *slot* is the right to have one instance. `slots` counts those that are taken, ending, or
disabled because an instance cannot be ended. `capacity` knows what the node has: the largest
tiers that it offers, and whether memory and disk suffice for one more instance.

Where Nomad places instances, a slot is not enough: an allocation must have arrived on this
node. `reserved_instances` listens for the launchers that Nomad starts, and `reservations`
says for one pool how many it has: any number without Nomad, those that arrived with it.

Nothing here knows a task; `agent.pools` takes slots and gives them back.
"""
