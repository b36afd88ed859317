"""The nodes that supervisors count as lost: their intermediates are made again, and readers do not wait for them.

A reader asks a silent peer again and again for as long as that one's lease may last (`fetch.PATIENCE_SECONDS`). Its
task may have begun just before the node was given up: to wait to the end would then delay the tasks that make the bytes
again by seconds.

Example: n1's cable is cut. A task on n2 begins 7 s later and asks n1 for its input. 3 s after that the supervisor has
had no word of n1 for 10 s, and tells n2 so: the task is given back at once, and not 4.5 s later.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable


class LostNodes:
    """The lost nodes by the link whose supervisor has told them. May be asked in any thread."""

    def __init__(self) -> None:
        self._told: dict[Hashable, frozenset[str]] = {}

    def tell(self, link: Hashable, nodes: Iterable[str]) -> None:
        """Record all nodes that a link's supervisor counts as lost now."""
        self._told[link] = frozenset(nodes)

    def forget(self, link: Hashable) -> None:
        self._told.pop(link, None)

    def __contains__(self, node: object) -> bool:
        return any(node in nodes for nodes in list(self._told.values()))
