"""What a task leaves behind is for tasks of the same job and phase alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.nodes.agent_rig import ISOLATIONS, Rig, rig

PLACES = "$HOME /tmp /var/tmp /dev/shm"
MARK = "left-by-a-task-of-bob"
LEAVE = f"for d in {PLACES}; do echo secret > $d/{MARK} 2> /dev/null; done; true"
LOOK = f"for d in {PLACES}; do ls $d/{MARK} 2> /dev/null; done; true"
OTHER = "11111111-2222-3333-4444-555555555555"


@pytest_asyncio.fixture(params=ISOLATIONS)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def found_after(agent: Rig, gone: bool) -> bytes:
    """What a task of jill's finds, after or while there is an instance in which bob's has left something."""
    first, second = agent.map_task(b""), agent.map_task(b"")
    bobs = agent.spec(LEAVE, login="bob", job=OTHER)
    agent.grant(bobs, first)
    await agent.report_of(first)
    if gone:
        agent.release(bobs)
    agent.grant(agent.spec(LOOK), second)
    return agent.output(await agent.report_of(second))


@pytest.mark.parametrize("gone", [False, True])
async def test_no_file_of_a_task_is_seen_by_one_of_another_account(agent: Rig, gone: bool) -> None:
    found = await found_after(agent, gone)
    if agent.isolated:
        assert found == b""
    else:  # memory has one place for all, which is documented
        assert set(found.split()) <= {f"/dev/shm/{MARK}".encode()}
        Path("/dev/shm", MARK).unlink(missing_ok=True)
