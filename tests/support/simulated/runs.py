"""Whole jobs in simulated clusters, with and without faults, which must make no difference.

Example:

    undisturbed = await run(seed, faults=False)
    disturbed = await run(seed)
    assert disturbed.result == undisturbed.result
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scheduler.engine import task as engine
from scheduler.supervisor.agents import presence
from scheduler.supervisor.jobs import retention
from scheduler.supervisor.tasks import recovery
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.tasks import Does, Shape, as_is


@dataclass(slots=True)
class Run:
    """What became of a job; how many tasks were made again for it, and of its map tasks on intermediates, how many
    ran where those were, and elsewhere."""

    result: dict[str, Any]
    remakes: int
    local: int
    remote: int


async def run(
    seed: int, faults: bool = True, steps: int = 600, inputs: int = 12, shape: Shape | None = None, does: Does = as_is
) -> Run:
    """One job from its first input to its archive."""
    cluster = Cluster(seed, faults, does)
    job = await cluster.prepare(inputs, shape)
    try:
        for node in cluster.nodes.values():
            await node.start()
        await cluster.drive(job, steps)
        result = await cluster.result(job) | {"leftovers": await cluster.leftovers()}
        return Run(result, cluster.remakes(), cluster.where[True], cluster.where[False])
    finally:
        await cluster.close()


@contextmanager
def without_limits() -> Iterator[None]:
    """However often something is lost, it is tried again: bad luck is not the subject here. Pages are small."""
    changed = [(engine, "MAX_ATTEMPTS", 1 << 30), (recovery, "MAX_MISSES", 1 << 30)]
    changed += [(recovery, "PAGE", 2), (presence, "LOSE_PAGE", 2), (retention, "PAGE", 2)]
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changed, before, strict=True):
            setattr(module, name, value)


def survives(seed: int, shape: Shape | None = None) -> Run:
    """Run a job twice, the second time with faults. Raises AssertionError if that makes a difference."""
    with without_limits():
        undisturbed = asyncio.run(run(seed, faults=False, shape=shape))
        disturbed = asyncio.run(run(seed, shape=shape))
    assert undisturbed.result["state"] == "done"
    assert undisturbed.result["leftovers"] == {}
    assert disturbed.result == undisturbed.result, f"seed {seed}"
    return disturbed
