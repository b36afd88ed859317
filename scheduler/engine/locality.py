"""Which ready tasks of a pool an agent is given: those whose bytes are on its own node first.

To fetch a task's input costs more than to wait a moment for the node that has it. So a node is
given, in this order,

1. tasks that belong to it;
2. tasks that belong to no node: their input is in the store that all share;
3. tasks of another node that would wait there for longer than `LOCALITY_WAIT` seconds: all of them if
   it has taken none for so long; if it has no room, and had tasks waiting for so long, those
   beyond what it takes in that time at the pace at which it took them lately.

Example: for two seconds node a had tasks waiting; now 40 are, it has 8 in hand and no room, and it
took 12 in the last second; b is idle, and is given up to 28 of them. With room left at a, b gets
none; if a is stuck and takes none for a second, b may have all 40.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOCALITY_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Home:
    """A node to which tasks of a pool belong.

    `ready`: those that wait; `soon`: as many it will take in `LOCALITY_WAIT` seconds; `room`: whether it has any now;
    `idle`: seconds for which it has taken none; `waiting`: seconds for which it had some that waited.
    """

    ready: int
    soon: int
    room: bool
    idle: float
    waiting: float

    @property
    def spare(self) -> int:
        """How many of its tasks others may have."""
        if self.idle > LOCALITY_WAIT:
            return self.ready
        return 0 if self.room or self.waiting <= LOCALITY_WAIT else max(0, self.ready - self.soon)


def choose(limit: int, own: int, free: int, others: Mapping[str, Home]) -> list[tuple[str | None, int]]:
    """What a node is given of a pool: at most `limit` tasks, as how many of which node (None: of none).

    `own`: ready tasks that belong to it; `free`: that belong to no node. The node itself is "" in the answer.
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
