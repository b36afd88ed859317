"""Every tier as a task finds it: the cap that it can read, room for as much, and an end beyond.

An instance's disk is sparse, and space that is reserved in it (fallocate) is never written, so a
terabyte costs some megabytes. Memory costs what it is: one tier after the other is filled, and where
too little is free for one, that is skipped and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.model.tiers import DISK_GB, MEMORY_MB
from scheduler.model.wire import AttemptReport, Outcome
from tests.support.nodes.agent_rig import Rig, rig
from tests.support.nodes.containers import CONTAINERD, needs_containers

pytestmark = [needs_containers, pytest.mark.asyncio(loop_scope="module")]

MEBIBYTE, GIBIBYTE = 1 << 20, 1 << 30
NO_MEMORY = ("UserTaskError", "user task ran out of memory")
NO_DISK = ("UserTaskError", "user task ran out of local disk space")
# What a shell, perl, and the kernel's own notes on them take: 8 bytes for each page.
BESIDES = 12 * MEBIBYTE
SHARE_BESIDES = 1 / 256
# A disk is a little larger than its tier, so that its tier fits.
SPARE = 0.02
PATIENCE = 180.0  # to fill 8 GiB takes a busy machine its time
# Left to others while a tier is filled.
LEFT = 2 * GIBIBYTE


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("tiers") / "state", isolation=CONTAINERD) as running:
        yield running


async def tasks(agent: Rig, script: str, *given: object, **tier: int) -> list[AttemptReport]:
    """A task for each of `given`, which it reads as $n, one after another in one instance."""
    spec, leases = agent.spec(f"read n; {script}", **tier), [agent.map_task(f"{each}\n".encode()) for each in given]
    agent.grant(spec, *leases)
    found = agent.supervisor.reports
    async with asyncio.timeout(PATIENCE), agent.supervisor.reported:
        await agent.supervisor.reported.wait_for(lambda: all((each.task, each.attempt) in found for each in leases))
    agent.release(spec)
    return [found[each.task, each.attempt] for each in leases]


def said(agent: Rig, report: AttemptReport) -> int:
    assert report.outcome is Outcome.OK, report
    return int(agent.output(report))


def free_memory() -> int:
    """Bytes that the machine can give without taking them from anybody."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) << 10


def failure(report: AttemptReport) -> tuple[str | None, str]:
    """The code, and the message but for what it says of the cap."""
    return report.code, str(report.message).partition(":")[0]


@pytest.mark.parametrize("tier", MEMORY_MB)
async def test_a_task_can_read_how_much_memory_it_has(agent: Rig, tier: int) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null || cat /sys/fs/cgroup/memory.max"
    (report,) = await tasks(agent, script, 0, memory_mb=tier)
    assert said(agent, report) == tier * MEBIBYTE


@pytest.mark.parametrize("tier", MEMORY_MB)
async def test_memory_just_under_a_tier_is_a_tasks_own_and_just_over_is_not(agent: Rig, tier: int) -> None:
    cap, free = tier * MEBIBYTE, free_memory()
    if free < cap + LEFT:
        pytest.skip(f"{free >> 20} MiB of memory are free here, and {cap + LEFT >> 20} are needed to fill {tier}")
    under, over = await tasks(
        agent, "perl -e 'vec($x, $ARGV[0], 8) = 1; print length $x' $n", int(cap * (1 - SHARE_BESIDES)) - BESIDES, cap,
        memory_mb=tier,
    )  # fmt: skip
    assert said(agent, under) > cap * (1 - SHARE_BESIDES) - BESIDES
    assert failure(over) == NO_MEMORY


@pytest.mark.parametrize("tier", DISK_GB)
async def test_disk_just_under_a_tier_is_a_tasks_own_and_just_over_is_not(agent: Rig, tier: int) -> None:
    cap = tier * GIBIBYTE
    script = """
        df --output=avail -B1 / | tail -1
        cd /var/tmp; for size in $n; do fallocate -l $size $size || exit 1; done; rm *
    """
    under, over = await tasks(
        agent, script, cap - 8 * MEBIBYTE, f"{cap} {int(cap * SPARE) + 32 * MEBIBYTE}", disk_gb=tier
    )
    assert cap <= said(agent, under) < cap * (1 + SPARE) + 32 * MEBIBYTE
    assert failure(over) == NO_DISK
