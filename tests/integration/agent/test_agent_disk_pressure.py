"""How an agent judges tasks that end while the machine's disk is full: only the one that has most there is to blame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.attempts.verdict import DISK_IS_FULL, FULL_MACHINE
from scheduler.agent.pools.caps import disk_pressure
from scheduler.common.disk_reserve import MEGABYTE, Space
from scheduler.model.wire import Outcome
from tests.support.nodes.agent_rig import Rig, rig

TOTAL = 400 * MEGABYTE


@pytest_asyncio.fixture
async def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Whose disk is full whenever a task ends."""
    monkeypatch.setattr(disk_pressure, "is_ample", lambda status: False)
    monkeypatch.setattr(disk_pressure, "space_of", lambda status: Space(0, TOTAL))
    async with rig(tmp_path / "state") as running:
        yield running


async def test_a_task_that_ends_badly_by_the_doing_of_others_may_run_again(agent: Rig) -> None:
    report = await agent.run("echo cannot write >&2; exit 3")
    assert (report.outcome, report.message) == (Outcome.LOST, DISK_IS_FULL)


@pytest.mark.parametrize("status", [0, 3])
async def test_a_task_that_has_most_of_a_full_disk_fails_and_keeps_nothing(agent: Rig, status: int) -> None:
    report = await agent.run(f"head -c 4000000 /dev/zero; echo said >&2; exit {status}")
    assert (report.outcome, report.message) == (Outcome.FAILED, FULL_MACHINE)
    assert [output.blob.size for output in report.outputs if output.blob] == [0]
    assert report.stderr is not None and report.stderr.blob.size == len("said\n")


async def test_a_task_that_ends_well_and_has_little_there_is_ok(agent: Rig) -> None:
    report = await agent.run("echo well")
    assert agent.output(report) == b"well\n"
