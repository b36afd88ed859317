"""What goes wrong on a node is no fault of the task: its agent reports the attempt as lost, and for which reason."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.attempts.reports import Reporter
from scheduler.agent.pools import pool
from scheduler.agent.pools.caps import disk_pressure
from scheduler.agent.slots.reservations import Reservations
from scheduler.common.disk_reserve import MEGABYTE, Space
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptReport, FeedPage, FeedSource, Outcome
from tests.support.nodes.agent_rig import KNOCK, Rig, lackey_of, rig
from tests.support.nodes.lackey_instance import processes_with, unique_seconds


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state") as running:
        yield running


def lost(report: AttemptReport) -> AbortReason:
    """The reason of an attempt that was lost."""
    assert report.outcome is Outcome.LOST
    return AbortReason.read(report.reason)


async def test_input_that_cannot_be_read(agent: Rig) -> None:
    task = agent.map_task(b"some\n")
    assert task.blob is not None
    source = FeedSource(seq=1, blob=task.blob, name="/jill/stor/gone", start=0, length=5)
    page = FeedPage(task=task.task, attempt=1, sources=[source], end=True)
    fed = replace(task, fed=True, input=None, blob=None, number=0, feed=page)
    agent.stores.own.discard([task.blob.id])
    agent.grant(agent.spec("cat", operation="map"), fed)
    assert lost(await agent.report_of(fed)) is AbortReason.FAILED_CHUNKS


async def test_output_that_cannot_be_written(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Reporter, "report", refuse)
    assert lost(await agent.run("echo x")) is AbortReason.FAILED_CHUNKS


async def test_a_disk_that_others_have_filled(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_pressure, "is_ample", lambda status: False)
    monkeypatch.setattr(disk_pressure, "space_of", lambda status: Space(0, 400 * MEGABYTE))
    assert lost(await agent.run("echo cannot write >&2; exit 3")) is AbortReason.RESOURCE_OVERDRAFT


async def test_an_instance_that_dies(agent: Rig) -> None:
    task = agent.map_task(b"")
    agent.grant(agent.spec(f"{KNOCK}; exec sleep 1000"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    os.kill(lackey_of(os.getpid(), agent.state_dir), signal.SIGKILL)
    assert lost(await agent.report_of(task)) is AbortReason.OTHER


async def test_a_place_that_another_task_gets(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    task, spec = agent.map_task(b""), agent.spec(f"{KNOCK}; exec sleep 1000")
    agent.grant(spec, task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    monkeypatch.setattr(Reservations, "gone", lambda self, number: True)
    agent.grant(spec)
    assert lost(await agent.report_of(task)) is AbortReason.PREEMPTION


async def test_a_place_that_never_comes(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "HOMELESS_SECONDS", 0.01)
    monkeypatch.setattr(Reservations, "booked", property(lambda self: 0))
    monkeypatch.setattr(Reservations, "limit", lambda self, wanted: 0)
    task = agent.map_task(b"")
    agent.grant(agent.spec("true"), task)
    assert lost(await agent.report_of(task)) is AbortReason.WAITING_TIMEOUT


async def test_an_attempt_of_an_operation_that_is_cancelled_is_reported_once_it_is_gone(agent: Rig) -> None:
    seconds = unique_seconds()
    running, waiting, unknown = agent.map_task(b""), agent.map_task(b""), agent.map_task(b"")
    agent.grant(agent.spec(f"{KNOCK}; exec sleep {seconds}", operation="map"), running, waiting)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    for task in (running, waiting, unknown):
        agent.cancel(task)
    for task in (running, waiting, unknown):
        assert lost(await agent.report_of(task)) is AbortReason.USER_REQUEST
    assert not processes_with(seconds)


async def test_an_attempt_of_an_operation_is_said_to_run_after_a_moment(agent: Rig) -> None:
    short, long = agent.map_task(b""), agent.map_task(b"")
    agent.grant(agent.spec("true", operation="map"), short)
    await agent.report_of(short)
    agent.grant(agent.spec("sleep 1000", operation="map"), long)
    await agent.until(lambda supervisor: bool(supervisor.began))
    assert [(began.task, began.attempt) for began in agent.supervisor.began] == [(long.task, 1)]
