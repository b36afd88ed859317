"""Control of operations at a real supervisor: what each request does, again and again, and what its agents hear."""

from __future__ import annotations

import json

import pytest

from scheduler.model.errors import WireError
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.wire import AttemptId, AttemptReport, PoolSpec, ReportRequest, TaskLease
from scheduler.records.database import select
from scheduler.supervisor.control import requests
from scheduler.supervisor.job_services import RecordedJobService
from scheduler.supervisor.jobs.intake import JobRef
from scheduler.supervisor.jobs.status import status as job_status
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import failed
from tests.support.operations.reader import LINES, Reader
from tests.support.operations.running import attempts, content, finished, operation, over, put, result, status
from tests.support.services.house import House

SUSPEND, RESUME, COMPLETE, ABORT = (
    ControlRequest(verb=verb) for verb in (Verb.SUSPEND, Verb.RESUME, Verb.COMPLETE, Verb.ABORT)
)


class Slow:
    """An agent whose tasks of some numbers go on until they are let go."""

    def __init__(self, house: House, *numbers: int) -> None:
        self.reader = Reader(house)
        self.held = set(numbers)
        self.begun: list[TaskLease] = []

    def __call__(self, spec: PoolSpec, task: TaskLease) -> AttemptReport | None:
        if spec.counting:
            return self.reader(spec, task)
        self.begun.append(task)
        return None if task.number in self.held else self.reader(spec, task)


async def four_tasks(house: House, **more) -> str:
    await put(house, "/jill/stor/in", b"".join(LINES))
    document = {"inputs": ["/jill/stor/in"], "output": {"path": "/jill/stor/out/"}, **more}
    return await operation(house, type="map", spec={"exec": "cat", "task_count": 4}, **document)


async def ask(house: House, uuid: str, request: ControlRequest) -> None:
    await house.supervisor.control(house.live(uuid), request)


async def refused(house: House, uuid: str, request: ControlRequest) -> tuple[int, str]:
    service = RecordedJobService(house.db, house.clock)
    with pytest.raises(WireError) as caught:
        await service.control(JobRef((await house.row(uuid))["id"], uuid), request)
    return caught.value.status, caught.value.code


async def shown(house: House, uuid: str) -> dict:
    return await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))


async def states(house: House, uuid: str) -> list[tuple[int, int, str, str | None]]:
    """The attempts of the map: task, number, state and reason."""
    return [
        (row["number"], row["attempt"], row["state"], row["reason"])
        for row in await attempts(house, uuid)
        if row["stage"] == 1
    ]


async def test_no_attempt_of_a_suspended_operation_begins_and_those_that_run_go_on(house):
    uuid = await four_tasks(house)
    await ask(house, uuid, SUSPEND)
    await ask(house, uuid, SUSPEND)
    slow = Slow(house)
    async with house.agent(answer=slow) as agent:
        await eventually(lambda: agent.id, "the agent is there")
        await eventually(lambda: house.live(uuid).standing.status == "running", "it is planned")
        assert not agent.leases
        found = await shown(house, uuid)
        assert (found["status"], found["suspended"], found["state"]) == ("running", True, "running")
        await ask(house, uuid, RESUME)
        await ask(house, uuid, RESUME)
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"


async def test_attempts_that_run_are_aborted_with_the_suspension_if_that_is_wanted(house):
    uuid = await four_tasks(house)
    slow = Slow(house, 0, 2)
    async with house.agent(answer=slow) as agent:
        await eventually(lambda: finished(house, uuid, 2), "two of four are over")
        await ask(house, uuid, ControlRequest(verb=Verb.SUSPEND, aborts=True))
        await eventually(lambda: len(agent.cancelled) == 2, "the agent has been told")
        slow.held.clear()
        await ask(house, uuid, RESUME)
        await house.archived(uuid)
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"".join(LINES)
    assert await states(house, uuid) == [
        (0, 1, "aborted", "user_request"), (0, 2, "completed", None), (1, 1, "completed", None),
        (2, 1, "aborted", "user_request"), (2, 2, "completed", None), (3, 1, "completed", None),
    ]  # fmt: skip
    assert (await house.row(uuid))["failed"] == 0


async def test_a_suspension_by_another_process_holds_before_the_owner_has_heard_of_it(house):
    uuid = await four_tasks(house)
    await eventually(lambda: house.live(uuid).standing.status == "running", "it is planned")
    house.supervisor._stop_listening()  # it hears nothing from now on
    service = RecordedJobService(house.db, house.clock)
    await service.control(house.live(uuid), SUSPEND)
    async with house.agent(answer=Slow(house)) as agent:
        reason = AbortReason.SCHEDULING_OPERATION_SUSPENDED
        await eventually(lambda: attempts(house, uuid, reason=reason), "leases were taken back")
        assert not agent.leases
        row = (await attempts(house, uuid, reason=reason))[0]
        assert (row["state"], row["node"]) == ("aborted", None)
        progress = (await shown(house, uuid))["progress"]
        assert progress["unscheduled"] > 0
        assert (progress["aborted"], progress["running"]) == (0, 0)
        house.supervisor._hear(f"job {house.live(uuid).id}")
        await eventually(lambda: house.live(uuid).suspended, "the owner knows")
        await ask(house, uuid, RESUME)
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"


async def test_a_map_that_is_completed_publishes_what_there_is(house):
    uuid = await four_tasks(house)
    async with house.agent(answer=Slow(house, 1, 3)) as agent:
        await eventually(lambda: finished(house, uuid, 2), "two of four are over")
        await ask(house, uuid, COMPLETE)
        await house.archived(uuid)
        await eventually(lambda: len(agent.cancelled) == 2, "the others were told to stop")
    assert await status(house, uuid) == "completed"
    assert await result(house, uuid) == {"outcome": "completed", "early": True}
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"".join(LINES[:2] + LINES[4:6])
    row = await house.row(uuid)
    await RecordedJobService(house.db, house.clock).control(JobRef(row["id"], uuid), COMPLETE)  # holds already


async def test_an_operation_that_is_completed_still_joins_the_parts_of_its_object(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    document = {"inputs": ["/jill/stor/in"], "output": {"path": "/jill/stor/out"}}
    uuid = await operation(house, type="map", spec={"exec": "cat", "task_count": 4}, **document)

    async def half(uuid: str = uuid) -> bool:
        rows = await house.db.read(select("phases_of_job", job=house.jobs[uuid].id))
        return rows[1]["finished"] == 2

    async with house.agent(answer=Slow(house, 1, 3)):
        await eventually(half, "two of four are over")
        await ask(house, uuid, COMPLETE)
        await house.archived(uuid)
    assert (await content(house, "/jill/stor"))["out"] == b"".join(LINES[:2] + LINES[4:6])


async def test_what_is_completed_before_it_has_begun_leaves_an_empty_set(house):
    uuid = await four_tasks(house)
    await ask(house, uuid, COMPLETE)
    await house.archived(uuid)
    assert await status(house, uuid) == "completed"
    assert await content(house, "/jill/stor/out") == {}


@pytest.mark.parametrize("kind", ["sort", "merge", "erase"])
async def test_only_a_map_can_be_completed(house, kind):
    await put(house, "/jill/stor/in", b"".join(LINES))
    output = {} if kind == "erase" else {"output": {"path": "/jill/stor/out/"}}
    spec = {"combine": True} if kind == "merge" else {"lines": "1-2"} if kind == "erase" else {}
    uuid = await operation(house, type=kind, inputs=["/jill/stor/in"], spec=spec, **output)
    assert await refused(house, uuid, COMPLETE) == (409, "NotCompletable")
    await over(house, uuid)


@pytest.mark.parametrize("by", ["owner", "another process"])
async def test_aborting_lasts_until_the_last_process_is_gone(house, by):
    uuid = await four_tasks(house)
    request = ControlRequest(verb=Verb.ABORT, reason="the wrong month")
    service = RecordedJobService(house.db, house.clock)
    async with house.agent(answer=Slow(house, 1, 3)) as agent:
        agent.confirms = False
        await eventually(lambda: finished(house, uuid, 2), "two of four are over")
        for _ in range(2):
            await (ask(house, uuid, request) if by == "owner" else service.control(house.live(uuid), request))
        await eventually(lambda: len(set(agent.cancelled)) == 2, "the agent was told")
        found = await shown(house, uuid)
        assert (found["status"], found["state"], found["progress"]["aborting"]) == ("aborting", "running", 2)
        gone = [agent.gone(lease) for lease in agent.leases if lease.task in agent.cancelled]
        for report in gone:
            assert await status(house, uuid) == "aborting"
            await house.supervisor.agent_service.report(
                ReportRequest(agent=agent.id, state=agent.state(), attempts=[report])
            )
        await house.archived(uuid)
    assert await result(house, uuid) == {"outcome": "aborted", "reason": "the wrong month"}
    assert await content(house, "/jill/stor/out") == {}
    await service.control(JobRef((await house.row(uuid))["id"], uuid), request)  # holds already
    assert await refused(house, uuid, SUSPEND) == (409, "InvalidJobState")


async def test_the_processes_of_a_node_that_is_lost_are_gone(house):
    uuid = await four_tasks(house)
    async with house.agent(answer=Slow(house, 1)) as agent:
        agent.confirms = False
        await eventually(lambda: finished(house, uuid, 3), "three of four are over")
        await ask(house, uuid, ABORT)
        await eventually(lambda: agent.cancelled, "the agent was told")
    assert await status(house, uuid) == "aborting"
    await house.supervisor.agent_service.leave(agent.id)
    await house.archived(uuid)
    assert await status(house, uuid) == "aborted"


async def test_the_next_supervisor_ends_what_was_being_aborted(house):
    uuid = await four_tasks(house)
    async with house.agent(answer=Slow(house, 1)) as agent:
        agent.confirms = False
        await eventually(lambda: finished(house, uuid, 3), "three of four are over")
        await ask(house, uuid, ABORT)
    await house.supervisor.stop()
    house.db.close()
    house.blobs.close()
    house.open()
    await house.supervisor.start()
    await house.archived(uuid)
    assert await status(house, uuid) == "aborted"
    assert [row for row in await states(house, uuid) if row[2] != "completed"] == [(1, 1, "aborted", "user_request")]


async def test_an_update_changes_what_the_operation_may_cost(house):
    await put(house, "/jill/stor/in", b"x\n")
    more = {"title": "old", "time_limit": 60}
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "false"}, **more)
    keys = {"title": "new", "annotations": {"team": "a"}, "max_failed_attempts": 2, "time_limit": None}
    await ask(house, uuid, ControlRequest(verb=Verb.UPDATE, keys=keys))
    await ask(house, uuid, ControlRequest(verb=Verb.UPDATE, keys=keys))
    found = await shown(house, uuid)
    assert (found["title"], found["annotations"], found["max_failed_attempts"]) == ("new", {"team": "a"}, 2)
    assert "time_limit" not in found
    assert (await house.row(uuid))["deadline"] is None
    await over(house, uuid, failed, expected="failed")
    assert (await result(house, uuid))["error"]["message"].startswith("2 attempts failed")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"inputs": []}, 'property "inputs": unsupported property'),
        ({"inputs": None}, 'property "inputs": unsupported property'),
        ({"time_limit": 0}, 'property "time_limit": must have a minimum value of 1'),
        ({"annotations": {"a": "x" * 20_000}}, 'property "annotations": must be at most 10240 characters of JSON'),
    ],
)
async def test_an_update_of_what_cannot_be_changed_is_refused_and_changes_nothing(house, keys, sentence):
    uuid = await four_tasks(house)
    before = (await house.row(uuid))["document"]
    with pytest.raises(WireError) as caught:
        await ask(house, uuid, ControlRequest(verb=Verb.UPDATE, keys={"title": "x", **keys}))
    assert caught.value.message == sentence
    assert (await house.row(uuid))["document"] == before
    await over(house, uuid)


async def test_an_update_by_another_process_reaches_the_owner(house):
    uuid = await four_tasks(house)
    service = RecordedJobService(house.db, house.clock)
    await service.control(house.live(uuid), ControlRequest(verb=Verb.UPDATE, keys={"max_failed_attempts": 7}))
    await eventually(lambda: house.live(uuid).spec.operation.failures.most == 7, "the owner knows")
    await over(house, uuid)


async def test_so_many_requests_wait_for_a_supervisor_and_no_more(house, monkeypatch):
    uuid = await four_tasks(house)
    live, service = house.live(uuid), RecordedJobService(house.db, house.clock)
    house.supervisor._stop_listening()  # it hears nothing from now on
    monkeypatch.setattr(requests, "MAX_WAITING", 3)
    for number in range(3):
        await service.control(live, ControlRequest(verb=Verb.UPDATE, keys={"title": str(number)}))
    assert await refused(house, uuid, ControlRequest(verb=Verb.UPDATE, keys={"title": "4"})) == (
        503, "ServiceUnavailable",
    )  # fmt: skip
    await ask(house, uuid, RESUME)  # the owner takes up what waits before it does anything else
    assert live.spec.document["title"] == "2"
    await over(house, uuid)


async def test_one_attempt_is_aborted_and_its_task_runs_again(house):
    uuid = await four_tasks(house)
    request = ControlRequest(verb=Verb.ABORT_ATTEMPT, stage=1, task=2, attempt=1)
    slow = Slow(house, 2)
    async with house.agent(answer=slow) as agent:
        await eventually(lambda: finished(house, uuid, 3), "three of four are over")
        slow.held.clear()
        await ask(house, uuid, request)
        await ask(house, uuid, request)
        await house.archived(uuid)
        assert len(agent.cancelled) == 1
    assert [row for row in await states(house, uuid) if row[0] == 2] == [
        (2, 1, "aborted", "user_request"), (2, 2, "completed", None),
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["owner", "another process"])
async def test_a_task_that_is_given_up_counts_as_done_and_leaves_nothing(house, by):
    uuid = await four_tasks(house)
    request = ControlRequest(verb=Verb.ABANDON, stage=1, task=2)
    service = RecordedJobService(house.db, house.clock)
    async with house.agent(answer=Slow(house, 2)):
        await eventually(lambda: finished(house, uuid, 3), "three of four are over")
        await (ask(house, uuid, request) if by == "owner" else service.control(house.live(uuid), request))
        await house.archived(uuid)
    assert await result(house, uuid) == {"outcome": "completed", "abandoned": 1}
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"".join(LINES[:4] + LINES[6:])


async def test_what_cannot_be_asked_of_a_task_is_refused(house):
    uuid = await four_tasks(house)
    async with house.agent(answer=Slow(house, 2)):
        await eventually(lambda: finished(house, uuid, 3), "three of four are over")
        attempt = {"verb": Verb.ABORT_ATTEMPT, "stage": 1}
        assert await refused(house, uuid, ControlRequest(**attempt, task=2, attempt=2)) == (404, "ResourceNotFound")
        assert await refused(house, uuid, ControlRequest(**attempt, task=9, attempt=1)) == (404, "ResourceNotFound")
        abandon = {"verb": Verb.ABANDON}
        assert await refused(house, uuid, ControlRequest(**abandon, stage=1, task=1)) == (409, "InvalidTaskState")
        assert await refused(house, uuid, ControlRequest(**abandon, stage=0, task=0)) == (409, "TaskNeeded")
        assert await refused(house, uuid, ControlRequest(**abandon, stage=7, task=0)) == (404, "ResourceNotFound")
        await ask(house, uuid, ABORT)
        await house.archived(uuid)


async def test_a_job_of_phases_can_be_suspended_and_aborted_and_nothing_else(house):
    uuid = await house.job({"exec": "true"})
    await house.give(uuid, await house.objects(3))
    await ask(house, uuid, SUSPEND)
    async with house.agent() as agent:
        await house.dispatched(uuid)
        assert (await shown(house, uuid))["suspended"] is True
        for verb in (Verb.COMPLETE, Verb.UPDATE, Verb.ABORT_ATTEMPT, Verb.ABANDON):
            assert await refused(house, uuid, ControlRequest(verb=verb)) == (409, "NotAnOperation")
        assert not agent.leases
        await ask(house, uuid, RESUME)
        await house.archived(uuid)
    assert "suspended" not in await shown(house, uuid)
    other = await house.job({"exec": "true"})
    await ask(house, other, ABORT)
    await house.archived(other)
    assert (await house.row(other))["cancelled"] == 1


async def test_an_attempt_runs_once_its_agent_says_so(house):
    uuid = await four_tasks(house)
    async with house.agent(answer=Slow(house, 1, 3)) as agent:
        await eventually(lambda: finished(house, uuid, 2), "two of four are over")
        progress = (await shown(house, uuid))["progress"]
        assert (progress["waiting"], progress["running"]) == (2, 0)
        begun = [AttemptId(task=lease.task, attempt=1) for lease in agent.leases if lease.number == 1]
        request = ReportRequest(agent=agent.id, state=agent.state(), attempts=[], began=begun)
        await house.supervisor.agent_service.report(request)
        progress = (await shown(house, uuid))["progress"]
        assert (progress["waiting"], progress["running"]) == (1, 1)
        await ask(house, uuid, ABORT)
        await house.archived(uuid)


async def test_an_alias_names_one_operation_that_is_not_over(house):
    uuid = await four_tasks(house, alias="*nightly")
    with pytest.raises(WireError) as caught:
        await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"}, alias="*nightly")
    assert (caught.value.status, caught.value.code) == (409, "AliasInUse")
    await over(house, uuid)
    again = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"}, alias="*nightly")
    assert json.loads((await house.row(again))["document"])["alias"] == "*nightly"
    await over(house, again)
