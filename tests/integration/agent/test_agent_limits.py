"""Caps: memory by cgroup and by watching, disk by file size and by accounting; instances that die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.pools import instance_factory
from scheduler.agent.slots import capacity, slots
from scheduler.model.wire import Outcome
from scheduler.providers.containerd.instance import ContainerInstance
from scheduler.providers.linux.cgroups import open_groups
from scheduler.providers.process_instance import ProcessInstance
from tests.support.nodes.agent_rig import ISOLATIONS, KNOCK, PROCESSES, Rig, lackey_of, rig
from tests.support.nodes.caps import of_memory, out_of_disk, out_of_memory

HOG = "perl -e '$x = \"a\" x (400 << 20); sleep 1000'"


@pytest_asyncio.fixture(params=ISOLATIONS)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


@pytest.fixture
def with_groups() -> None:
    groups = open_groups("test-probe")
    if groups is None:
        pytest.skip("no memory cgroup may be made here")
    groups.close()


@pytest.mark.usefixtures("with_groups")
async def test_a_task_beyond_its_memory_is_killed_and_told_why(agent: Rig) -> None:
    report = await agent.run(HOG, memory_mb=128)
    assert (report.code, report.message) == ("UserTaskError", out_of_memory(128, 256))


@pytest.mark.usefixtures("with_groups")
async def test_a_task_that_hides_the_kill_is_told_in_a_suffix_and_the_next_one_is_not_blamed(agent: Rig) -> None:
    first, second = agent.map_task(b"hog"), agent.map_task(b"tame")
    agent.grant(agent.spec(f'read kind; [ "$kind" = tame ] || {HOG}; exit 3', memory_mb=128), first, second)
    blamed, other = await agent.reports_of(first, second)
    assert (
        blamed.message
        == f"user command exited with code 3 (WARNING: ran out of memory during execution){of_memory(128, 256)}"
    )
    assert other.message == "user command exited with code 3"


@pytest.mark.usefixtures("with_groups")
async def test_a_task_that_says_all_is_well_after_a_kill_fails_and_those_around_it_do_not(agent: Rig) -> None:
    tasks = [agent.map_task(kind) for kind in (b"tame", b"hog", b"tame")]
    agent.grant(agent.spec(f'read kind; [ "$kind" = tame ] || {HOG}; true', memory_mb=128), *tasks)
    before, blamed, after = await agent.reports_of(*tasks)
    assert (blamed.code, blamed.message) == ("UserTaskError", out_of_memory(128, 256))
    assert [before.outcome, after.outcome] == [Outcome.OK, Outcome.OK]


@pytest.mark.usefixtures("with_groups")
async def test_a_task_within_its_memory_is_left_alone(agent: Rig) -> None:
    report = await agent.run("perl -e '$x = \"a\" x (60 << 20); print length $x'", memory_mb=128)
    assert agent.output(report) == str(60 << 20).encode()


@pytest.mark.parametrize("isolation", PROCESSES)
async def test_without_a_cgroup_memory_is_watched(tmp_path: Path, isolation: str) -> None:
    async with rig(tmp_path / "state", isolation, groups=False) as agent:
        report = await agent.run(f"{HOG} & wait", memory_mb=128)
        assert (report.code, report.message) == ("UserTaskError", out_of_memory(128, 256))


async def test_many_files_beyond_the_disk_cap_end_the_task(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", 1 << 20)
    script = "for i in 1 2 3 4 5; do head -c 900000 /dev/urandom > $i; done; sleep 1000"
    report = await agent.run(script, disk_gb=2)
    assert (report.code, report.message) == ("UserTaskError", out_of_disk(2, 4))


async def test_one_file_beyond_the_disk_cap_ends_the_task(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", 1 << 20)
    report = await agent.run("cat /dev/zero", disk_gb=2)
    assert (report.code, report.message) == ("UserTaskError", out_of_disk(2, 4))
    assert report.outputs[0].blob.size == 2 << 20


async def test_a_task_that_runs_too_long_is_killed_and_the_next_one_is_not(agent: Rig) -> None:
    slow, quick = agent.map_task(b"1000"), agent.map_task(b"0")
    agent.grant(agent.spec('read n; echo begun >&2; sleep "$n"', timeout_s=1), slow, quick)
    late, fine = await agent.reports_of(slow, quick)
    assert (late.outcome, late.code) == (Outcome.FAILED, "TaskTimeoutError")
    assert late.message == 'user task ran longer than it may ("timeout": 1 seconds)'
    assert late.stderr is not None
    assert agent.read(late.stderr.blob) == b"begun\n"
    assert fine.outcome is Outcome.OK


async def test_an_instance_that_dies_loses_its_attempt_and_the_waiting_ones_run_in_another(agent: Rig) -> None:
    warm = [agent.map_task(b"0") for _ in range(40)]
    spec = agent.spec('read n; [ "$n" = 1 ] && { ' + KNOCK + "; exec sleep 1000; }; true")
    agent.grant(spec, *warm)
    await agent.reports_of(*warm)
    victim, waiting = agent.map_task(b"1"), agent.map_task(b"0")
    agent.grant(spec, victim, waiting)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    os.kill(lackey_of(os.getpid(), agent.state_dir), signal.SIGKILL)
    lost, fine = await agent.reports_of(victim, waiting)
    assert (lost.outcome, lost.code) == (Outcome.LOST, "InternalError")
    assert fine.outcome is Outcome.OK


async def test_a_slot_whose_instance_does_not_end_is_disabled_until_it_does(
    agent: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()
    for kind in (ProcessInstance, ContainerInstance):

        async def hang(self: ProcessInstance | ContainerInstance, destroy=kind.destroy) -> None:
            await gone.wait()
            await destroy(self)

        monkeypatch.setattr(kind, "destroy", hang)
    monkeypatch.setattr(slots, "ENDING_SECONDS", 0.05)
    task = agent.map_task(b"")
    spec = agent.spec("true")
    agent.grant(spec, task)
    await agent.report_of(task)
    agent.release(spec)
    await agent.until(lambda supervisor: supervisor.states[-1].disabled == 1)
    assert (await agent.run("true")).outcome is Outcome.OK  # in another
    gone.set()
    await agent.until(lambda supervisor: supervisor.states[-1].disabled == 0)


async def test_a_task_waits_while_the_node_has_no_room(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    def scarce(_: Path) -> str:
        asked.set()
        return "nothing is free"

    with monkeypatch.context() as patch:
        patch.setattr(capacity, "shortage", scarce)
        task = agent.map_task(b"")
        agent.grant(agent.spec("true"), task)
        async with asyncio.timeout(10):
            await asked.wait()
        assert agent.instances() == []
    assert (await agent.report_of(task)).outcome is Outcome.OK


@pytest.mark.usefixtures("with_groups")
async def test_memory_is_counted_over_all_processes_and_each_task_for_itself(agent: Rig) -> None:
    eat = '$| = 1; $x = "a" x (40 << 20);'
    both = f"mkfifo f; perl -e '{eat} print 1; open F, \"f\"; <F>' | perl -e '{eat} read STDIN, $y, 1; open F, \">f\"'"
    first, second = agent.map_task(b"large"), agent.map_task(b"small")
    agent.grant(agent.spec(f'read kind; [ "$kind" = small ] || {{ {both}; }}'), first, second)
    large, small = [report.usage.max_rss_kb for report in await agent.reports_of(first, second)]
    assert 80 << 10 <= large < 200 << 10
    assert small < 40 << 10


@pytest.mark.usefixtures("with_groups")
async def test_file_cache_is_not_counted_as_memory(agent: Rig) -> None:
    report = await agent.run("head -c 200000000 /dev/zero > file; cat file | tail -c 1 > /dev/null")
    assert report.usage.max_rss_kb < 100 << 10
