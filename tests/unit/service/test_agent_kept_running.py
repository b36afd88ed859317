"""The service keeps an agent, whatever happens to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scheduler.service import agent_process
from scheduler.service.agent_process import AgentOptions, keep_running


@pytest.mark.parametrize("failure", [OSError("no more processes"), 1])
async def test_an_agent_that_cannot_start_or_ends_is_started_again(
    failure: OSError | int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[OSError | int] = [failure, failure]
    third = asyncio.Event()

    async def run(_: AgentOptions) -> int:
        if not ends:
            third.set()
            await asyncio.Event().wait()
        end = ends.pop()
        if isinstance(end, OSError):
            raise end
        return end

    monkeypatch.setattr(agent_process, "_run", run)
    monkeypatch.setattr(agent_process, "FIRST_PAUSE", 0.0)
    keeping = asyncio.create_task(keep_running(AgentOptions("http://127.0.0.1:1", tmp_path, "process", 1)))
    await asyncio.wait_for(third.wait(), 10)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    statuses = [record.__dict__["status"] for record in caplog.records if "started again" in record.message]
    assert statuses == [f"cannot be started: {failure}" if isinstance(failure, OSError) else failure] * 2
