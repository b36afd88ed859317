"""A task that makes processes without end: how many it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.providers import process
from scheduler.providers.linux.cgroups import open_process_groups
from tests.support.nodes.agent_rig import PROCESSES, Rig, rig

MOST = 100
# Prints how many processes it could make, and leaves them to the lackey.
BOMB = """perl -e '
for $n (1 .. 1000) {
    $pid = fork;
    if (!defined($pid)) { print $n; exit }
    if (!$pid) { sleep 1000; exit }
}
print "all"'"""


@pytest.fixture
def with_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = open_process_groups("test-probe")
    if groups is None:
        pytest.skip("no group that caps processes may be made here")
    groups.close()
    monkeypatch.setattr(process, "MAX_PROCESSES", MOST)


@pytest_asyncio.fixture(params=PROCESSES)
async def agent(tmp_path: Path, with_groups: None, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", request.param) as running:
        yield running


async def test_an_instance_has_no_more_processes_than_it_may_have(agent: Rig) -> None:
    first, second = agent.map_task(b""), agent.map_task(b"")
    agent.grant(agent.spec(BOMB), first, second)
    for report in await agent.reports_of(first, second):  # what the first one made is gone before the second
        assert MOST - 10 < int(agent.output(report)) <= MOST
