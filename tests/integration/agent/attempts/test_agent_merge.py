"""Tasks that merge: their inputs are open files, which the agent hands over while they run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.common.ids import new_id
from scheduler.model.wire import BlobRef, FeedPage, FeedSource, Outcome, TaskLease
from tests.integration.agent.attempts.test_agent_reduce import feed_of
from tests.support.nodes.agent_rig import ANY_ISOLATION, ISOLATIONS, Rig, rig


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


def granted(agent: Rig, script: str) -> TaskLease:
    task = agent.reduce_task()
    agent.grant(agent.spec(script, operation="reduce", merges=True), task)
    return task


async def started(agent: Rig, script: str) -> TaskLease:
    """A task that waits for its inputs, which the agent has said."""
    task = granted(agent, script)
    await agent.until(lambda supervisor: feed_of(supervisor, task) is not None)
    return task


def hand(agent: Rig, task: TaskLease, *inputs: BlobRef, first: int = 1, end: bool = False) -> None:
    """Tell the agent of more inputs."""
    sources = [FeedSource(seq=seq, blob=blob, name=f"/jill/stor/{seq}") for seq, blob in enumerate(inputs, first)]
    page = FeedPage(task=task.task, attempt=task.attempt, sources=sources, end=end)
    agent.supervisor.replies.put_nowait({"feeds": [page]})


async def test_inputs_that_are_told_in_pages_are_merged(agent: Rig) -> None:
    task = await started(agent, "mmerge --handed")
    hand(agent, task, agent.blob(b"b\nd\n"), agent.blob(b""))
    hand(agent, task, agent.blob(b"a\nc"), first=3, end=True)
    assert agent.output(await agent.report_of(task)) == b"a\nb\nc\nd\n"


async def test_without_inputs_there_are_no_lines(agent: Rig) -> None:
    task = await started(agent, "mmerge --handed --run 'wc -l'")
    hand(agent, task, end=True)
    assert agent.output(await agent.report_of(task)) == b"0\n"


async def test_more_inputs_than_wait_at_once_are_handed_over(agent: Rig) -> None:
    task = await started(agent, "mmerge --handed | uniq -c")
    blob = agent.blob(b"x\n")
    for page in range(4):
        hand(agent, task, *[blob] * 200, first=1 + 200 * page, end=page == 3)
    assert agent.output(await agent.report_of(task)) == b"    800 x\n"


async def test_an_input_that_is_gone_loses_the_attempt_before_it_can_see_an_end(agent: Rig) -> None:
    task = await started(agent, "mmerge --handed; echo all")
    hand(agent, task, agent.blob(b"a\n"), BlobRef(id=new_id(), size=2), agent.blob(b"b\n"), end=True)
    report = await agent.report_of(task)
    assert (report.outcome, report.reason, report.outputs) == (Outcome.LOST, "failed_chunks", [])


async def test_a_task_that_takes_no_input_ends(agent: Rig) -> None:
    task = granted(agent, "echo enough")
    report = await agent.report_of(task)
    assert agent.output(report) == b"enough\n"


async def test_a_task_cannot_send_anything_to_the_agent(agent: Rig) -> None:
    task = granted(agent, "echo evil >&0 || echo deaf")
    hand(agent, task, end=True)
    assert agent.output(await agent.report_of(task)) == b"deaf\n"


@pytest.mark.parametrize("agent", ISOLATIONS, indirect=True)
async def test_a_task_that_opens_an_input_by_force_is_kept_out_or_found_out(agent: Rig) -> None:
    force = 'for f in /proc/$PPID/fd/*; do [ -f "$f" ] && chmod u+w "$f" && echo bad >> "$f"; done 2>/dev/null; true'
    task = await started(agent, f"mmerge --handed --run 'cat; {force}'")
    blob = agent.blob(b"precious\n")
    hand(agent, task, blob, end=True)
    report = await agent.report_of(task)
    if agent.isolated and os.geteuid() == 0:
        assert (agent.output(report), agent.read(blob)) == (b"precious\n", b"precious\n")
    else:
        assert (report.outcome, report.message) == (Outcome.FAILED, "user task changed its input file")
