"""Counters of the bytes that an agent has exchanged with other nodes, for a line in its log."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Traffic:
    """Sums since the agent's start. Several threads add to them without a lock: a lost addition does no harm."""

    served: int = 0  # bytes of blobs served to other nodes...
    squeezed: int = 0  # ... and of these, those sent by zstd
    fetched: int = 0  # bytes of blobs fetched from other nodes, or copied from the object store for a task
    resumed: int = 0  # transfers that were resumed where they had broken off

    def sums(self) -> dict[str, int]:
        return asdict(self)
