"""How many bytes went between nodes: what a log line tells of an agent."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Traffic:
    """Sums since the agent's start. Added to in several threads: an addition lost now and then is no matter."""

    served: int = 0  # bytes of blobs given to other nodes...
    squeezed: int = 0  # ... and of these, those that travelled by zstd
    fetched: int = 0  # bytes of blobs had from other nodes, or copied from the object store for a task
    resumed: int = 0  # times that a transfer went on where it had broken off

    def sums(self) -> dict[str, int]:
        return asdict(self)
