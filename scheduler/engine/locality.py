"""Locality, by delay scheduling (Zaharia 2010): which ready tasks of a pool a node is given.

To fetch a task's input costs more than to wait a moment for the node that has it. So a node is given, in this order,

1. tasks that belong to it: their input lies there;
2. tasks that belong to no node: their input is in the shared store;
3. tasks of another node that would wait there for longer than `LOCALITY_WAIT` seconds. If that node has taken no task
   for that long, these are all of its tasks. If it has no room, and has had waiting tasks for that long, these are
   the tasks beyond the number that it takes in that time at its recent pace.

Example: node a has had waiting tasks for two seconds; now 40 are waiting, it runs 8, has no room, and took 12 in the
last second. Node b is idle, and is given up to 28 of them. If a has room left, b gets none; if a is stuck and takes
none for a second, b may have all 40.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOCALITY_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Home:
    """A node to which tasks of a pool belong.

    `ready`: its waiting tasks; `soon`: how many it will take in `LOCALITY_WAIT` seconds; `room`: whether it has any
    now; `idle`: seconds for which it has taken none; `waiting`: seconds for which it has had waiting tasks.
    """

    ready: int
    soon: int
    room: bool
    idle: float
    waiting: float

    @property
    def spare(self) -> int:
        """The number of its tasks that other nodes may take."""
        if self.idle > LOCALITY_WAIT:
            return self.ready
        return 0 if self.room or self.waiting <= LOCALITY_WAIT else max(0, self.ready - self.soon)


def choose(limit: int, own: int, free: int, others: Mapping[str, Home]) -> list[tuple[str | None, int]]:
    """The tasks of a pool that a node is given, at most `limit`: how many belong to which node (None: to none).

    `own`: ready tasks that belong to this node; `free`: ready tasks that belong to no node. The node itself is "" in
    the answer.
    """
    offers: list[tuple[str | None, int]] = [("", own), (None, free)]
    offers += sorted(((node, home.spare) for node, home in others.items()), key=lambda offer: (-offer[1], offer[0]))
    chosen = []
    for node, count in offers:
        taken = min(limit, count)
        if taken > 0:
            chosen.append((node, taken))
            limit -= taken
    return chosen
