"""What a node does, for its metrics: the links and their pools, and how attempts ended since the agent's start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.agent.blobs.transfer_metrics import Traffic
from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.pools.pool import Pool
from scheduler.agent.slots.prepared_instances import PreparedInstances
from scheduler.agent.slots.slots import Slots
from scheduler.model.wire import Outcome, RegisterRequest

PoolKind = tuple[str, str]  # `map`, or `reduce` for pools that may wait for others; and MiB of their tier


@dataclass(slots=True)
class Load:
    """What pools of one kind have: instances, and tasks that run there or wait for them."""

    pools: int = 0
    instances: int = 0
    running: int = 0
    waiting: int = 0

    def add(self, pool: Pool) -> None:
        handed = [len(worker.handed) for worker in pool.workers]
        running = sum(map(bool, handed))
        self.pools += 1
        self.instances += pool.instances
        self.running += running
        self.waiting += len(pool.queue) + sum(handed) - running


@dataclass(slots=True)
class NodeWork:
    """One agent's node: what it offers and shares, and what the links do there."""

    request: RegisterRequest
    slots: Slots
    prepared: PreparedInstances
    traffic: Traffic
    state_dir: Path
    links: list[SupervisorLink] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    @contextmanager
    def linked(self, link: SupervisorLink) -> Iterator[None]:
        """Count a link for the length of the block."""
        self.links.append(link)
        try:
            yield
        finally:
            self.links.remove(link)

    def count(self, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1

    def loads(self) -> dict[PoolKind, Load]:
        """The load of all pools, by kind."""
        found: dict[PoolKind, Load] = {}
        for link in self.links:
            for pool in link.pools():
                kind = "reduce" if pool.spec.blocking else "map", str(pool.spec.memory_mb)
                found.setdefault(kind, Load()).add(pool)
        return found
