"""The parts of a service beside others of its kind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from scheduler.common.ids import new_id
from scheduler.gateway.context import Context
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Connection
from scheduler.service import parts
from scheduler.supervisor.runner import SupervisorRunner
from tests.support.eventually import eventually
from tests.support.services.records import database_at

SECRETS = parts.Secrets(b"a secret of tokens", "a key of agents")


@contextlib.asynccontextmanager
async def serving(directory: Path):
    runner = SupervisorRunner()
    with parts.opened(database_at(directory / "db"), directory / "blobs") as store:
        context = parts.context_of(store, SECRETS)
        async with parts.supervising(context, runner, "http://here", alone=False):
            yield context, runner


def blob(context: Context) -> str:
    """A fresh one, which nobody has named yet."""
    fd, name = context.blobs.create(), new_id()
    os.write(fd, b"x")
    context.blobs.publish(fd, name)
    os.close(fd)
    return name


async def test_the_first_supervisor_sweeps_what_nobody_can_be_about_to_name(tmp_path, monkeypatch):
    async with serving(tmp_path) as (context, runner):
        named, left = blob(context), blob(context)

        def name_it(c: Connection) -> None:
            accounts.create(c, "jill", 1)
            namespace.put_object(c, NewObject("/jill/stor/named", named, 1, EMPTY_MD5), 1)

        await context.db.write(name_it)
        async with parts.background(asyncio.create_task(parts.sweep_forever(context, runner, 0.0))):
            await swept(context, times=2)
            assert context.blobs.path(left).exists(), "it is too young"
            monkeypatch.setattr(parts, "clock", lambda: context.clock() + parts.YOUNG_MS + 10_000)
            await eventually(lambda: not context.blobs.path(left).exists(), "the blob is swept")
        assert context.blobs.path(named).exists()


async def test_one_that_is_not_the_first_sweeps_nothing(tmp_path, monkeypatch):
    async with serving(tmp_path) as (context, runner):
        left = blob(context)
        monkeypatch.setattr(parts, "clock", lambda: context.clock() + parts.YOUNG_MS + 10_000)
        runner.supervisor.leads = False
        async with parts.background(asyncio.create_task(parts.sweep_forever(context, runner, 0.0))):
            await swept(context, times=20)
        assert context.blobs.path(left).exists()


async def swept(context: Context, times: int) -> None:
    """Let others do what they want to do, so often."""
    for _ in range(times):
        await context.db.read(lambda c: c.now())


async def test_metrics_tell_of_the_supervisor_that_works(tmp_path):
    async with serving(tmp_path) as (context, runner):
        text = context.metrics.text().decode()
        assert f'remora_supervisor_info{{id="{runner.supervisor.id}"}} 1.0' in text
        assert "remora_jobs_live 0.0" in text


async def test_objects_that_cannot_be_kept_are_said_to_be_so(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(parts.StateError, match=r"cannot keep objects in .*/file"),
        parts.opened(tmp_path / "db", tmp_path / "file"),
    ):
        pass
