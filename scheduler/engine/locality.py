"""Which ready tasks of a pool an agent is given: those whose bytes are on its own node first.

To fetch a task's input costs more than to wait a moment for the node that has it. So a node is
given, in this order,

1. tasks that belong to it;
2. tasks that belong to no node: their input is in the store that all share;
3. tasks of another node that cannot have them soon: all of them if it took none for `PATIENCE`
   seconds, otherwise, if it has no room, those beyond a second helping of what it has in hand.

Example: node a has 40 ready tasks, 8 in hand and no room; b is idle. b is given up to 32 of them.
With room left at a, b gets none; if a is stuck and takes none for a second, b may have all 40.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Home:
    """A node to which tasks of a pool belong: ready ones, those it has in hand, whether it has room for more,
    and seconds for which it has taken none."""

    ready: int
    held: int
    room: bool
    idle: float

    @property
    def spare(self) -> int:
        """How many of its tasks others may have."""
        if self.idle > PATIENCE:
            return self.ready
        return 0 if self.room else max(0, self.ready - self.held)


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
