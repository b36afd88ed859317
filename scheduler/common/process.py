"""The memory of a process that serves: what its collector looks at, and how often.

Python's cyclic collector examines all young objects after each 700 allocations, and everything that has
ever been imported now and then. In a service that validates thousands of messages a second this is an
eighth of its time, and it finds nothing: messages and rows have no cycles. So what exists once all is
imported is left out for ever, and the young are examined a hundred times less often. Cycles, such as
those of exceptions with their frames, are still found; until then they hold some megabytes at most.
"""

from __future__ import annotations

import gc

# Allocations between looks at the young; looks of one generation before one at the next.
YOUNG, MIDDLE, OLD = 50_000, 20, 50


def collect_seldom() -> None:
    """Set the collector up for a service; called when all modules are imported."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
