"""The end of a link: nothing of it stays, whoever ends it, and however often."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler.agent.client import UnknownAgentError
from scheduler.agent.links.supervisor_link import SupervisorLink
from scheduler.agent.log import Log
from scheduler.agent.transport import Reach
from scheduler.common.background import to_the_end
from scheduler.model.wire import RegisterRequest


class ForgottenLink(SupervisorLink):
    """A link whose supervisor does not know it any more; to close it takes until `may_end`."""

    def __init__(self, directory: Path) -> None:
        nothing: Any = SimpleNamespace(own=SimpleNamespace(root=directory), reach=Reach())
        request = RegisterRequest(node="n1", slots=1, memory_mb=1024, provider="none")
        super().__init__(request, nothing, nothing, nothing, nothing, Log(supervisor=1))
        self.closing, self.may_end = asyncio.Event(), asyncio.Event()
        self.closed = 0

    async def _work(self) -> None:
        return  # the registration is over

    async def _close(self) -> None:
        self.closing.set()
        await self.may_end.wait()
        self.closed += 1


async def test_a_link_that_is_cancelled_while_it_closes_is_closed_to_the_end(tmp_path: Path) -> None:
    """Its supervisor has forgotten it, and then leaves: else the reservations of its instances stay taken for ever."""
    link = ForgottenLink(tmp_path)
    running = asyncio.create_task(link.run())
    await link.closing.wait()
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
    assert not running.done()
    link.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert link.closed == 1


async def test_work_that_runs_to_its_end_raises_what_it_raises() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise UnknownAgentError("who?")

    with pytest.raises(UnknownAgentError):
        await to_the_end(fail())
