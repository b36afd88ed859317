"""What fails in operations: attempts that are repeated and counted, inputs and outputs that cannot be, lost nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.model import naming
from scheduler.model.errors import WireError
from scheduler.model.wire import AttemptReport, Outcome, PoolSpec, SavedFile, TaskLease
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import failed
from tests.support.operations.reader import LINES, Reader
from tests.support.operations.running import attempts, go_silent, operation, over, put, reasons_of, result, shown


async def test_failed_attempts_are_repeated_and_counted_until_the_operation_fails(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(
        house, type="map", inputs=["/jill/stor/in"], max_failed_attempts=3, spec={"exec": "false"},
        output={"path": "/jill/stor/out/"},
    )  # fmt: skip
    await over(house, uuid, failed, expected="failed")
    error = {"code": "UserTaskError", "message": "3 attempts failed: user command exited with code 1"}
    assert await result(house, uuid) == {"outcome": "failed", "error": error}
    assert len(await house.errors(uuid)) == 3
    row = await house.row(uuid)
    assert (row["failed"], row["state"], row["cancelled"]) == (3, "done", 0)


async def test_a_task_that_succeeds_at_last_is_as_good_as_any(house):
    await put(house, "/jill/stor/in", b"x\n")
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        return failed(spec, task) if task.attempt < 4 else reader(spec, task)

    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    await over(house, uuid, answer)
    assert (await house.row(uuid))["failed"] == 3


async def test_what_no_attempt_can_mend_fails_the_operation_at_once(house):
    await put(house, "/jill/stor/in", b"x\n")

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        return replace(failed(spec, task), code="TaskInitError", message="no asset")

    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    await over(house, uuid, answer, expected="failed")
    assert (await result(house, uuid))["error"] == {"code": "TaskInitError", "message": "no asset"}


async def test_errors_can_be_passed_over(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        return failed(spec, task) if task.number == 1 else reader(spec, task)

    spec = {"exec": "cat", "task_count": 3}
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec=spec, on_error="continue")
    await over(house, uuid, answer)
    assert len(await house.outputs(uuid)) == 2
    assert len(await house.errors(uuid)) == 1


async def test_an_operation_whose_attempts_must_not_be_repeated_fails_at_the_first(house):
    await put(house, "/jill/stor/in", b"x\n")

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        lost = {"outcome": Outcome.LOST, "code": "InternalError", "message": "internal error", "reason": "other"}
        return replace(failed(spec, task), **lost)

    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"}, fail_on_restart=True)
    await over(house, uuid, answer, expected="failed")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["/jill/stor/no"], 'no such object: "/jill/stor/no"'),
        (["/jill/stor/no/"], 'no such directory: "/jill/stor/no/"'),
        (["/jill/stor/dir"], 'objects of type "directory" are not supported: "/jill/stor/dir"'),
    ],
)
async def test_an_input_that_is_not_there_fails_the_operation_before_any_task(house, inputs, message):
    await put(house, "/jill/stor/dir/x", b"x")
    uuid = await operation(house, type="map", inputs=["/jill/stor/dir/", *inputs], spec={"exec": "cat"})
    await over(house, uuid, expected="failed")
    assert (await result(house, uuid))["error"]["message"] == message
    assert await attempts(house, uuid) == []


async def test_too_many_tasks_are_refused_with_what_to_change(house):
    await put(house, "/jill/stor/in", b"x" * 300_000)
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat", "task_size": 2})
    await over(house, uuid, expected="failed")
    assert (await result(house, uuid))["error"]["message"] == (
        "the operation would have 150,000 tasks, of at most 100,000: give task_size 1 MiB or more"
    )


SAY_MODE = 'say mode "replace" or "append" (--replace or --append)'


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ({"path": "/jill/stor/full/"}, "OutputNotEmpty", f"/jill/stor/full has 1 entry: {SAY_MODE}"),
        (
            {"path": "/jill/stor/in", "mode": "create"},
            "OutputExists",
            '/jill/stor/in exists: say mode "replace" (--replace)',
        ),
        ({"path": "/jill/stor/no/out"}, "DirectoryDoesNotExist", "/jill/stor/no does not exist"),
        ({"path": "/bob/stor/out"}, "InvalidJob", 'property "output.path": "/bob/stor/out" is not below /jill'),
        ({"path": "/jill/stor/full"}, "OutputUnsuitable", "/jill/stor/full is a directory: end the path in a slash"),
        ({"path": "/jill/stor/in/"}, "OutputUnsuitable", "/jill/stor/in is an object: it cannot be a set of parts"),
    ],
)
async def test_an_output_that_cannot_be_is_refused_at_once_and_leaves_nothing(house, output, code, message):
    await put(house, "/jill/stor/in", b"x")
    await put(house, "/jill/stor/full/x", b"x")
    with pytest.raises(WireError) as refused:
        await operation(house, type="map", inputs=["/jill/stor/in"], output=output, spec={"exec": "cat"})
    assert refused.value.code == code
    assert refused.value.message.startswith(message)
    assert len(house.supervisor.jobs) == 0


async def test_an_operation_that_takes_too_long_fails(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "sleep 9"}, time_limit=60)
    async with house.agent(answer=lambda spec, task: None) as agent:
        await eventually(lambda: bool(agent.leases), "the task runs")
        house.wait_ms(61_000)
        await house.look_around()
        await house.archived(uuid)
    message = "the operation took longer than it may: its time_limit is 60 s"
    assert await result(house, uuid) == {
        "outcome": "failed", "error": {"code": "TaskTimeoutError", "message": message},
    }  # fmt: skip
    assert [(row["state"], row["reason"]) for row in await attempts(house, uuid)] == [("aborted", "operation_failed")]


async def test_stderr_is_kept_of_so_many_attempts_and_failed_ones_come_first(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        bad = task.number == 3 and task.attempt == 1
        report = failed(spec, task) if bad else reader(spec, task)
        name = naming.stderr_name(spec.login, spec.job, task.base, spec.phase, f"{task.uuid}.{task.attempt}")
        return replace(report, stderr=SavedFile(name=name, blob=house.blob(b"said")))

    uuid = await operation(
        house, type="map", inputs=["/jill/stor/in"], stderr={"count": 2}, spec={"exec": "cat", "task_count": 4}
    )
    await over(house, uuid, answer)
    rows = await attempts(house, uuid)
    kept = [row["state"] for row in rows if row["stderr"]]
    assert len(kept) == 2
    assert "failed" in kept


async def test_an_attempt_at_a_node_that_is_silent_was_node_offline(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    async with house.agent(answer=lambda spec, task: None) as silent:
        await eventually(lambda: bool(silent.leases), "the task runs")
    await go_silent(house)
    assert await reasons_of(house, uuid) == [("aborted", "node_offline")]
    await over(house, uuid)
    assert (await house.row(uuid))["failed"] == 0


async def test_an_attempt_whose_supervisor_was_lost_has_that_reason_and_the_operation_is_revived(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    async with house.agent(answer=lambda spec, task: None) as lost:
        await eventually(lambda: bool(lost.leases), "the task runs")
        assert (await shown(house, uuid))["status"] == "running"
        await house.supervisor.stop()
        assert (await shown(house, uuid))["status"] == "reviving"
    house.db.close()
    house.open()
    await house.supervisor.start()
    house.jobs[uuid] = house.live(uuid)
    assert await reasons_of(house, uuid) == [("aborted", "scheduler")]
    await over(house, uuid)
    assert (await shown(house, uuid))["state"] == "done"


async def test_an_agent_of_another_version_gives_an_unknown_reason(house):
    await put(house, "/jill/stor/in", b"x\n")
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        lost = {"outcome": Outcome.LOST, "code": "InternalError", "message": "internal error", "reason": "sunspots"}
        return replace(failed(spec, task), **lost) if task.attempt == 1 else reader(spec, task)

    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    await over(house, uuid, answer)
    rows = await attempts(house, uuid, state="aborted")
    assert [row["reason"] for row in rows] == ["unknown"]
