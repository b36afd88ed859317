"""Instances that exist before a pool asks for one: who gets them, what replaces them, and that none is left."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.agent.slots import prepared_instances
from scheduler.agent.slots.prepared_instances import PreparedInstances
from scheduler.providers import InstanceSpec, NoImageError, Provider
from scheduler.providers.containerd.provider import ContainerdProvider
from scheduler.providers.process import ProcessProvider
from tests.support.eventually import eventually
from tests.support.nodes.agent_rig import ISOLATIONS
from tests.support.nodes.containers import CONTAINERD

SMALL = InstanceSpec(64 << 20, 64 << 20)
POOL = replace(SMALL, pool="job/0")


@pytest.fixture(params=ISOLATIONS)
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_instances, "DEFAULT", SMALL)


@contextlib.asynccontextmanager
async def prepared(
    state: Path, isolation: str, count: int = 1, lack: str | None = None
) -> AsyncIterator[PreparedInstances]:
    inner: Provider = ContainerdProvider(state) if isolation == CONTAINERD else ProcessProvider(state, isolation)
    await inner.prepare()
    provider = PreparedInstances(inner, count, lambda: lack)
    await provider.prepare()
    try:
        yield provider
    finally:
        await provider.close()
        assert list((state / "instances").iterdir()) == []


async def ready(provider: PreparedInstances, count: int = 1) -> list[int]:
    await eventually(lambda: len(provider._ready) == count, f"{count} instances are ready")
    return [instance.number for instance in provider._ready]


async def test_a_pool_gets_the_one_that_is_ready_and_another_is_made(tmp_path: Path, isolation: str) -> None:
    async with prepared(tmp_path, isolation) as provider:
        numbers = await ready(provider)
        instance = await provider.create(POOL)
        assert [instance.number] == numbers
        assert instance.spec == POOL
        assert not instance.initialized
        assert await ready(provider) != numbers
        await instance.destroy()


async def test_other_tiers_are_made_when_they_are_asked_for(tmp_path: Path, isolation: str) -> None:
    async with prepared(tmp_path, isolation) as provider:
        numbers = await ready(provider)
        for spec in (replace(POOL, memory_bytes=128 << 20), replace(POOL, disk_bytes=128 << 20)):
            instance = await provider.create(spec)
            assert instance.spec == spec
            assert instance.number not in numbers
            await instance.destroy()
        assert await ready(provider) == numbers


async def test_two_pools_never_get_the_same(tmp_path: Path, isolation: str) -> None:
    async with prepared(tmp_path, isolation, count=2) as provider:
        await ready(provider, 2)
        instances = [await provider.create(replace(SMALL, pool=f"job/{number}")) for number in range(4)]
        assert len({instance.number for instance in instances}) == 4
        assert [instance.spec.pool for instance in instances] == ["job/0", "job/1", "job/2", "job/3"]
        for instance in instances:
            await instance.destroy()


async def test_an_image_that_there_is_not_is_refused_and_takes_none(tmp_path: Path, isolation: str) -> None:
    async with prepared(tmp_path, isolation) as provider:
        numbers = await ready(provider)
        with pytest.raises(NoImageError):
            await provider.create(replace(POOL, image=">99"))
        assert await ready(provider) == numbers


async def test_none_is_prepared_without_room_or_when_the_number_is_0(tmp_path: Path, isolation: str) -> None:
    for count, lack in ((2, "the disk is full"), (0, None)):
        async with prepared(tmp_path, isolation, count, lack) as provider:
            instance = await provider.create(POOL)
            assert (provider._ready, provider._making) == ([], 0)
            await instance.destroy()
