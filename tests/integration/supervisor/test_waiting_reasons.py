"""A job whose tasks do not run says why, and a service that can run none says so and ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from scheduler.agent.state_lock import leave_last_words, take_last_words
from scheduler.engine.waiting_reason import NO_AGENT
from scheduler.model.limits import Limits
from scheduler.model.wire import AgentState, PollRequest, PoolState
from scheduler.service import state_checks
from scheduler.service.agent_process import MAX_FAILURES, Trouble
from scheduler.supervisor.agents.waiting_reasons import PATIENCE, Reasons
from scheduler.supervisor.jobs.status import status
from tests.integration.supervisor.test_supervisor_infeasible import registered
from tests.support.eventually import eventually
from tests.support.services.house import MAP, House
from tests.support.services.service import Service


async def reason(house: House, job: str) -> str | None:
    """What the status of a job says after the supervisor has looked, waited, and looked again."""
    now = time.monotonic()
    house.monotonic = lambda: now
    reasons = Reasons(house.db, house.supervisor.jobs, house.supervisor.agent_service)
    reasons.take_up(house.live(job))
    await reasons.look()
    now += PATIENCE + 1.0
    await reasons.look()
    row = await house.row(job)
    waiting = (await house.db.read(lambda c: status(c, row))).get("waiting", [])
    return waiting[0]["reason"] if waiting else None


async def ready_job(house: House) -> str:
    job = await house.job(MAP)
    await house.give(job, await house.objects(1))
    await eventually(lambda: house.supervisor.jobs.ready[house.live(job).pools[0]], "the task is ready")
    return job


async def test_without_an_agent_the_reason_is_that_there_is_none(house: House) -> None:
    job = await ready_job(house)
    assert await reason(house, job) == NO_AGENT
    house.no_agent = "it ended with status 1 (see the log)"
    assert await reason(house, job) == f"{NO_AGENT}: it ended with status 1 (see the log)"


async def test_the_reason_goes_when_a_task_runs(house: House) -> None:
    job = await ready_job(house)
    assert await reason(house, job)
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: agent.leases, "the task is leased")
        assert await reason(house, job) is None


async def test_a_node_that_lacks_disk_is_named(house: House) -> None:
    job = await ready_job(house)
    agent = await registered(house, node="n1")
    granted = await house.supervisor.agent_service.poll(PollRequest(agent=agent, state=AgentState(seen=0)))
    pool = granted.pools[0].pool
    state = AgentState(
        seen=granted.number, pools=[PoolState(pool=pool, instances=1, room=0, idle=True)], lack="28 MB are free"
    )
    asking = asyncio.ensure_future(house.supervisor.agent_service.poll(PollRequest(agent=agent, state=state)))
    await asyncio.sleep(0)
    assert await reason(house, job) == "node n1 cannot run tasks now: 28 MB are free"
    house.supervisor.let_go()
    await asking


async def test_a_limit_on_instances_is_named(house: House) -> None:
    job = await ready_job(house)
    await registered(house, node="n1")
    house.live(job).limits = Limits(instances=0)
    assert await reason(house, job) == "jill has 0 instances, of at most 0 at once"
    house.live(job).limits = Limits()
    house.supervisor.agent_service.most_instances = 0
    assert await reason(house, job) == "all accounts have 0 instances, of at most 0 at once"


def test_an_agent_that_ends_again_and_again_is_hopeless() -> None:
    async def fail() -> Trouble:
        trouble = Trouble()
        for _ in range(MAX_FAILURES - 1):
            trouble.ended(1, "no instance can be made", steady=False)
        assert not trouble.hopeless.is_set()
        trouble.ended(1, None, steady=False)
        return trouble

    trouble = asyncio.run(fail())
    assert trouble.hopeless.is_set()
    assert trouble.why == "it ended with status 1 (see the log)"


def test_an_agent_leaves_word_why_it_ended(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    assert take_last_words(state) is None
    leave_last_words(state, "no loop devices")
    assert take_last_words(state) == "no loop devices"
    assert take_last_words(state) is None


def test_a_service_whose_agent_cannot_start_says_so_and_ends(tmp_path: Path) -> None:
    service = Service(tmp_path / "state", ("--show-dirs", "/nonexistent"))
    with pytest.raises(RuntimeError, match="no task can run here, because the agent does not start"):
        service.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_state_directory_that_runs_no_programs_is_told(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,noexec", "tmpfs", tmp_path], check=True)
    try:
        assert any("noexec" in trouble for trouble in state_checks.troubles(tmp_path / "state"))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
