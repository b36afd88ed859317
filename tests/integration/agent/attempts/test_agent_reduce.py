"""Reduce tasks: a pipe that is fed in pages while the task runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.model.wire import FeedState, Outcome, TaskLease
from tests.support.nodes.agent_rig import ANY_ISOLATION, KNOCK, Rig, rig
from tests.support.nodes.fake_supervisor import FakeSupervisor


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


def feed_of(supervisor: FakeSupervisor, task: TaskLease) -> FeedState | None:
    """How the feed of a task stood when the agent last told it; None if it runs no more, or not yet."""
    return next((feed for feed in supervisor.states[-1].feeds if feed.task == task.task), None)


async def started(agent: Rig, script: str, **changes: object) -> TaskLease:
    task = agent.reduce_task(int(changes.pop("reducer", 0)))  # type: ignore[call-overload]
    agent.grant(agent.spec(script, blocking=True, **changes), task)
    await agent.until(lambda supervisor: feed_of(supervisor, task) is not None)
    return task


async def test_a_reducer_reads_all_its_inputs_in_order_and_then_the_end(agent: Rig) -> None:
    task = await started(agent, 'cat; echo "$MANTA_REDUCER ${MANTA_INPUT_FILE-unset}"', reducer=3)
    agent.feed(task, agent.blob(b"one "), agent.blob(b""), agent.blob(b"two "))
    agent.feed(task, agent.blob(b"three "), first=4, end=True)
    report = await agent.report_of(task)
    assert agent.output(report) == b"one two three 3 unset\n"
    assert "/reduce.0." in report.outputs[0].name
    assert report.usage.bytes_in == 14


async def test_a_reducer_without_inputs_runs(agent: Rig) -> None:
    task = await started(agent, "wc -c")
    agent.feed(task, end=True)
    assert agent.output(await agent.report_of(task)) == b"0\n"


async def test_inputs_larger_than_the_pipe_arrive_whole(agent: Rig) -> None:
    task = await started(agent, "wc -c")
    agent.feed(task, agent.blob(bytes(5_000_000)), agent.blob(bytes(3_000_001)), end=True)
    assert agent.output(await agent.report_of(task)) == b"8000001\n"


async def test_a_reducer_that_stops_reading_is_no_failure_and_does_not_stop_its_feed(agent: Rig) -> None:
    task = await started(agent, f"head -c 4; exec <&-; {KNOCK}; true")
    agent.feed(task, *(agent.blob(bytes(2_000_000)) for _ in range(3)))
    report = await agent.report_of(task)
    assert (report.outcome, agent.output(report)) == (Outcome.OK, bytes(4))


async def test_a_page_that_is_sent_twice_is_fed_once(agent: Rig) -> None:
    task = await started(agent, "cat")
    first, second = agent.blob(b"1"), agent.blob(b"2")
    agent.feed(task, first)
    agent.feed(task, first, second, end=True)
    assert agent.output(await agent.report_of(task)) == b"12"


async def test_the_supervisor_learns_how_far_a_feed_is_and_that_there_is_room_again(agent: Rig) -> None:
    task = await started(agent, "wc -c")
    blob = agent.blob(bytes(4096))
    agent.feed(task, *[blob] * 1024)
    await agent.until(lambda supervisor: (feed := feed_of(supervisor, task)) is not None and feed.after == 1024)
    await agent.until(lambda supervisor: (feed := feed_of(supervisor, task)) is not None and feed.room >= 512)
    agent.feed(task, first=1025, end=True)
    assert agent.output(await agent.report_of(task)) == b"%d\n" % (1024 * 4096)


async def test_an_input_that_is_gone_loses_the_attempt_before_the_reducer_sees_the_end(agent: Rig) -> None:
    task = await started(agent, "cat")
    gone = agent.blob(b"gone")
    agent.blobs.discard([gone.id])
    agent.feed(task, agent.blob(b"one"), gone, end=True)
    report = await agent.report_of(task)
    assert (report.outcome, report.code) == (Outcome.LOST, "ServiceUnavailableError")
    assert report.outputs == []


async def test_reducers_run_side_by_side(agent: Rig) -> None:
    tasks = [agent.reduce_task(index) for index in range(4)]
    agent.grant(agent.spec("cat; echo $MANTA_REDUCER", blocking=True), *tasks, instances=4)
    await agent.until(lambda supervisor: len(supervisor.states[-1].feeds) == 4)
    for task in tasks:
        agent.feed(task, end=True)
    reports = await agent.reports_of(*tasks)
    assert [agent.output(report) for report in reports] == [b"0\n", b"1\n", b"2\n", b"3\n"]
