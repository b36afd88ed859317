"""Operations at a real supervisor, with an agent that runs no programs: from a document to the published output."""

from __future__ import annotations

import json

import pytest

from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.errors import WireError
from scheduler.model.job import parse_job
from scheduler.model.wire import (
    AttemptReport,
    BlobRef,
    FeedSource,
    Outcome,
    OutputRecord,
    PoolSpec,
    SavedFile,
    TaskLease,
)
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.records.database import select
from scheduler.supervisor.job_work import AHEAD
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.jobs.status import status as job_status
from scheduler.supervisor.operations import creation, ending, steps
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import failed
from tests.support.services.house import House

LINES = [b"one\n", b"two\n", b"three\n", b"four\n", b"a longer line, the fifth\n", b"six\n", b"\n", b"eight"]


class Reader:
    """An agent that reads what its tasks are given, as `cat` would: the lines that begin in their ranges."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.leases: list[TaskLease] = []

    def __call__(self, spec: PoolSpec, task: TaskLease) -> AttemptReport:
        if spec.counting:
            return counted(self, spec, task)
        self.leases.append(task)
        return self.printed(spec, task, self.read(task))

    def read(self, task: TaskLease) -> bytes:
        if task.blob is not None:
            return self.bytes_of(task.blob)
        assert task.feed is not None
        assert task.feed.end
        return b"".join(map(self.of, task.feed.sources))

    def of(self, source: FeedSource) -> bytes:
        """The bytes of the lines that a source owns."""
        data = self.bytes_of(source.blob)
        end = len(data) if source.length is None else source.start + source.length
        return data[skipped(data, source.start, source.skip) : skipped(data, end, source.upto)]

    def bytes_of(self, blob: BlobRef) -> bytes:
        return self.house.blobs.path(blob.id).read_bytes() if blob.size else b""

    def printed(self, spec: PoolSpec, task: TaskLease, data: bytes) -> AttemptReport:
        name = naming.stdout_name(spec.login, spec.job, task.base, spec.phase, task.uuid)
        blob = self.house.blob(data) if data else BlobRef(id=new_id(), size=0, md5=EMPTY_MD5)
        output = OutputRecord(name=name, blob=blob)
        return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.OK, outputs=[output])


def counted(reader: Reader, spec: PoolSpec, task: TaskLease) -> AttemptReport:
    """What an agent reports of a task whose lines are only to be counted."""
    assert task.feed is not None
    lines = [len(reader.of(source).splitlines()) for source in task.feed.sources]
    return reader.printed(spec, task, b"").model_copy(update={"outputs": [], "lines": lines})


def skipped(data: bytes, at: int, lines: int) -> int:
    """Where so many lines behind the first line at `at` or after it end."""
    start = line_start(data, at)
    return start + len(b"".join(data[start:].splitlines(keepends=True)[:lines]))


def line_start(data: bytes, at: int) -> int:
    """Where the first line that begins at `at` or after it begins."""
    if at == 0:
        return 0
    found = data.find(b"\n", at - 1)
    return len(data) if found < 0 else found + 1


async def put(house: House, path: str, data: bytes) -> None:
    blob = house.blob(data) if data else BlobRef(id=new_id(), size=0, md5=EMPTY_MD5)
    new = NewObject(path, blob.id, blob.size, blob.md5 or "")
    placed = await house.db.write(lambda c: namespace.put_objects(c, [new], 1))
    assert not placed.refused, placed.refused
    house.blobs.discard(placed.discard)


async def operation(house: House, **document) -> str:
    uuid = await house.supervisor.create_job("jill", parse_job(document))
    house.jobs[uuid] = house.live(uuid)
    return uuid


async def status(house: House, uuid: str) -> str:
    return (await house.row(uuid))["status"]


async def result(house: House, uuid: str):
    return json.loads((await house.row(uuid))["result"])


async def content(house: House, directory: str) -> dict[str, bytes]:
    """The objects of a directory and what is in them, in order."""
    entries = await house.db.read(lambda c: namespace.list_page(c, directory, namespace.Page(100_000)))
    return {
        entry.name: house.blobs.path(entry.etag).read_bytes() if entry.size else b""
        for entry in entries
        if not entry.is_directory
    }


async def finished(house: House, uuid: str, count: int) -> bool:
    """Whether so many tasks of the last stage are over."""
    rows = await house.db.read(select("phases_of_job", job=house.jobs[uuid].id))
    return rows[-1]["finished"] == count


async def attempts(house: House, uuid: str, **only) -> list:
    """The attempts of an operation."""
    anything = dict.fromkeys(("state", "reason", "node", "stage", "number", "printed"))
    search = {"task": 0, "attempt": 0, "limit": 1000} | anything | only
    return await house.db.read(select("attempts_after", job=house.jobs[uuid].id, **search))


async def over(house: House, uuid: str, answer=None, expected: str = "completed") -> None:
    """Run an operation to its end."""
    async with house.agent(answer=answer or Reader(house)):
        await house.archived(uuid)
    assert await status(house, uuid) == expected, await result(house, uuid)
    await house.no_blob_left()


@pytest.mark.parametrize("tasks", [1, 2, 3, 7, 8, 40, 62])
async def test_an_ordered_map_of_cat_leaves_what_was_there_in_any_number_of_tasks(house, tasks):
    await put(house, "/jill/stor/in/a", b"".join(LINES[:3]))
    await put(house, "/jill/stor/in/b", b"")
    await put(house, "/jill/stor/in/c", b"".join(LINES[3:]))
    reader = Reader(house)
    uuid = await operation(
        house,
        type="map",
        inputs=["/jill/stor/in/"],
        output={"path": "/jill/stor/out/"},
        spec={"exec": "cat", "ordered": True, "task_count": tasks},
    )
    await over(house, uuid, reader)
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"".join(LINES)
    assert len(reader.leases) == min(tasks, len(LINES))  # exact, while there is a line for each
    assert await result(house, uuid) == {"outcome": "completed"}


async def test_parts_are_joined_if_the_output_is_one_object(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    await put(house, "/jill/stor/out", b"old")
    spec = {"exec": "cat", "task_count": 5}
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], output={"path": "/jill/stor/out"}, spec=spec)
    await over(house, uuid)
    assert (await content(house, "/jill/stor"))["out"] == b"".join(LINES)
    assert await house.outputs(uuid) == ["/jill/stor/out"]


async def test_an_operation_without_an_output_leaves_its_parts_in_its_own_directory(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    await over(house, uuid)
    assert await house.outputs(uuid) == [f"/jill/jobs/{uuid}/stor/out/part-000000"]


async def test_each_object_is_a_file_of_its_own_task_if_that_is_wanted(house):
    for name in "abc":
        await put(house, f"/jill/stor/in/{name}", name.encode())
    reader = Reader(house)
    uuid = await operation(house, type="map", inputs=["/jill/stor/in/"], spec={"exec": "cat", "per_object": True})
    await over(house, uuid, reader)
    assert [lease.input for lease in reader.leases] == [f"/jill/stor/in/{name}" for name in "abc"]


async def test_a_merge_links_its_inputs_without_reading_them(house):
    await put(house, "/jill/stor/a", b"aa")
    await put(house, "/jill/stor/b/x", b"x")
    await put(house, "/jill/stor/b/empty", b"")
    uuid = await operation(
        house, type="merge", inputs=["/jill/stor/b/", "/jill/stor/a"], output={"path": "/jill/stor/all/"}
    )
    await house.archived(uuid)  # there is no agent
    assert await content(house, "/jill/stor/all") == {"part-000000": b"x", "part-000001": b"aa"}
    await house.db.write(lambda c: namespace.delete(c, "/jill/stor/a"))
    assert (await content(house, "/jill/stor/all"))["part-000001"] == b"aa"


async def test_a_merge_that_combines_rewrites_its_inputs_into_parts_of_a_size(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    uuid = await operation(
        house,
        type="merge",
        inputs=["/jill/stor/in"],
        output={"path": "/jill/stor/all/"},
        spec={"combine": True, "part_size": 20},
    )
    await over(house, uuid)
    parts = (await content(house, "/jill/stor/all")).values()
    assert b"".join(parts) == b"".join(LINES)
    assert len(parts) == 3


async def test_appending_goes_on_after_the_last_part(house):
    await put(house, "/jill/stor/set/part-000006", b"6")
    await put(house, "/jill/stor/in", b"7")
    output = {"path": "/jill/stor/set/", "mode": "append"}
    await house.archived(await operation(house, type="merge", inputs=["/jill/stor/in"], output=output))
    assert await content(house, "/jill/stor/set") == {"part-000006": b"6", "part-000007": b"7"}


async def test_a_set_can_be_its_own_input(house):
    for name in "abc":
        await put(house, f"/jill/stor/set/{name}", name.encode())
    output = {"path": "/jill/stor/set/", "mode": "replace"}
    uuid = await operation(house, type="merge", inputs=["/jill/stor/set/"], output=output, spec={"combine": True})
    await over(house, uuid)
    assert await content(house, "/jill/stor/set") == {"part-000000": b"abc"}


async def test_erasing_without_lines_empties_an_object_and_a_set(house):
    await put(house, "/jill/stor/one", b"x")
    await put(house, "/jill/stor/set/part-000000", b"y")
    await over(house, await operation(house, type="erase", inputs=["/jill/stor/one"]))
    await over(house, await operation(house, type="erase", inputs=["/jill/stor/set/"]))
    assert (await content(house, "/jill/stor"))["one"] == b""
    assert await content(house, "/jill/stor/set") == {}


async def test_inputs_are_read_as_they_were_when_they_were_found(house):
    await put(house, "/jill/stor/a", b"old a")
    await put(house, "/jill/stor/b", b"old b")
    uuid = await operation(
        house, type="map", inputs=["/jill/stor/a", "/jill/stor/b"], spec={"exec": "cat", "per_object": True}
    )
    await eventually(lambda: house.live(uuid).standing.status == "running", "the operation runs")
    await put(house, "/jill/stor/a", b"new a")
    gone = await house.db.write(lambda c: namespace.delete(c, "/jill/stor/b"))
    house.blobs.discard(gone.discard)
    await over(house, uuid)
    assert list((await content(house, f"/jill/jobs/{uuid}/stor/out")).values()) == [b"old a", b"old b"]


async def test_nothing_is_visible_before_everything_is(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport | None:
        return reader(spec, task) if task.number or spec.counting else None

    spec, output = {"exec": "cat", "task_count": 4}, {"path": "/jill/stor/out/"}
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], output=output, spec=spec)
    async with house.agent(answer=answer):
        await eventually(lambda: finished(house, uuid, 3), "three of four tasks have run")
        assert await content(house, "/jill/stor/out") == {}
        await house.supervisor.cancel(house.live(uuid))
        await house.archived(uuid)
    assert await status(house, uuid) == "aborted"
    assert await content(house, "/jill/stor/out") == {}
    await house.no_blob_left()
    rows = await attempts(house, uuid)
    assert sorted((row["state"], row["reason"]) for row in rows) == [
        ("aborted", "user_request"), *[("completed", None)] * 4,
    ]  # fmt: skip


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
        return failed(spec, task).model_copy(update={"code": "TaskInitError", "message": "no asset"})

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
        return failed(spec, task).model_copy(update=lost)

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


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ({"path": "/jill/stor/full/"}, "OutputNotEmpty", '/jill/stor/full has 1 entry: say mode "replace" or "append"'),
        ({"path": "/jill/stor/in", "mode": "create"}, "OutputExists", '/jill/stor/in exists: say mode "replace"'),
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


async def test_an_output_is_locked_until_the_operation_is_over(house):
    await put(house, "/jill/stor/dir/in", b"x")
    document = {"type": "map", "inputs": ["/jill/stor/dir/in"], "spec": {"exec": "cat"}}
    uuid = await operation(house, **document, output={"path": "/jill/stor/dir/out/"})
    for path in ("/jill/stor/dir/out/", "/jill/stor/dir/"):
        with pytest.raises(WireError, match=f"locked by job {uuid}"):
            await operation(house, **document, output={"path": path, "mode": "replace"})
    new = NewObject("/jill/stor/dir/out/y", new_id(), 0, EMPTY_MD5)
    placed = await house.db.write(lambda c: namespace.put_objects(c, [new], 1))
    assert [why.message for _, why in placed.refused] == [f"/jill/stor/dir/out is locked by job {uuid}"]
    await over(house, uuid)
    await put(house, "/jill/stor/dir/out/y", b"")


async def test_many_may_append_to_a_set_together(house):
    for name in "ab":
        await put(house, f"/jill/stor/{name}", name.encode())
    output = {"path": "/jill/stor/set/", "mode": "append"}
    uuids = [await operation(house, type="merge", inputs=[f"/jill/stor/{name}"], output=output) for name in "ab"]
    for uuid in uuids:
        await house.archived(uuid)
    assert sorted((await content(house, "/jill/stor/set")).values()) == [b"a", b"b"]


async def test_a_slice_of_many_objects_is_fed_in_pages(house):
    objects = [NewObject(f"/jill/stor/many/{n:04}", house.blob(b"x").id, 1, EMPTY_MD5) for n in range(1200)]
    await house.db.write(lambda c: namespace.put_objects(c, objects, 1))
    uuid = await operation(house, type="map", inputs=["/jill/stor/many/"], spec={"exec": "cat", "task_count": 1})
    async with house.agent() as agent:
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"
    assert list(agent.fed.values()) == [[new.etag for new in objects]]


async def test_the_ninth_operation_of_an_account_waits_for_a_place(house):
    await put(house, "/jill/stor/in", b"x")
    uuids = [await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"}) for _ in range(9)]

    def stand() -> list[str]:
        return sorted(house.live(uuid).standing.status for uuid in uuids)

    await eventually(lambda: stand() == ["pending", *["running"] * 8], "eight operations run, and one waits")
    async with house.agent(answer=Reader(house)):
        for uuid in uuids:
            await house.archived(uuid)
    assert {await status(house, uuid) for uuid in uuids} == {"completed"}


async def test_an_operation_goes_on_at_another_supervisor_wherever_the_last_one_stopped(house):
    await put(house, "/jill/stor/in", b"".join(LINES))
    uuid = await operation(
        house, type="map", inputs=["/jill/stor/in"], output={"path": "/jill/stor/out/"},
        spec={"exec": "cat", "task_count": 4},
    )  # fmt: skip
    seen = set()
    for _ in range(12):
        await house.supervisor.stop()
        house.db.close()
        house.open()
        await house.supervisor.start()
        house.jobs[uuid] = house.live(uuid)
        seen.add(await status(house, uuid))
    await over(house, uuid)
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"".join(LINES)


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
        return report.model_copy(update={"stderr": SavedFile(name=name, blob=house.blob(b"said"))})

    uuid = await operation(
        house, type="map", inputs=["/jill/stor/in"], stderr={"count": 2}, spec={"exec": "cat", "task_count": 4}
    )
    await over(house, uuid, answer)
    rows = await attempts(house, uuid)
    kept = [row["state"] for row in rows if row["stderr"]]
    assert len(kept) == 2
    assert "failed" in kept


async def test_tasks_are_made_ahead_of_the_agents_and_not_all_at_once(house):
    await put(house, "/jill/stor/in", b"x\n" * 5000)
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat", "task_size": 2})
    await eventually(lambda: house.supervisor.jobs.ready[house.live(uuid).pools[0]] >= AHEAD, "tasks are ready")
    assert house.supervisor.jobs.ready[house.live(uuid).pools[0]] < AHEAD + 1000
    await house.supervisor.cancel(house.live(uuid))
    await house.archived(uuid)


async def reasons_of(house: House, uuid: str) -> list[tuple[str, str | None]]:
    return [(row["state"], row["reason"]) for row in await attempts(house, uuid)]


async def test_an_attempt_at_a_node_that_is_silent_was_node_offline(house):
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    now = house.monotonic()
    house.monotonic = lambda: now
    async with house.agent(answer=lambda spec, task: None) as silent:
        await eventually(lambda: bool(silent.leases), "the task runs")
    for _ in range(12):  # a second apart, so that the supervisor was there all the time
        now += 1
        await house.supervisor.agent_service.lose_silent()
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


async def test_each_status_is_passed_on_the_way(house):
    """As waiting clients see them, one step at a time."""
    await put(house, "/jill/stor/in", b"x\n")
    spec = parse_job({"type": "map", "inputs": ["/jill/stor/in"], "spec": {"exec": "cat"}})
    live = await house.db.write(lambda c: creation.create_job(c, "jill", spec, 1, supervisor=house.supervisor.id))
    seen = []
    for _ in range(5):
        seen.append(((await shown(house, live.uuid))["state"], (await shown(house, live.uuid))["status"]))
        await house.db.write(lambda c: steps.take(c, live, 2))
    assert seen == [
        ("queued", "initializing"), ("queued", "preparing"), ("queued", "pending"),
        ("running", "materializing"), ("running", "running"),
    ]  # fmt: skip
    await house.db.write(lambda c: ending.fail(c, live, Changes(), 3, "InternalError", "it rained"))
    assert (await shown(house, live.uuid))["status"] == "failing"
    await house.db.write(lambda c: steps.take(c, live, 4))
    assert (await shown(house, live.uuid))["status"] == "failed"


async def shown(house: House, uuid: str) -> dict:
    """What users see of an operation."""
    return await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))


async def test_an_agent_of_another_version_gives_an_unknown_reason(house):
    await put(house, "/jill/stor/in", b"x\n")
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        lost = {"outcome": Outcome.LOST, "code": "InternalError", "message": "internal error", "reason": "sunspots"}
        return failed(spec, task).model_copy(update=lost) if task.attempt == 1 else reader(spec, task)

    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    await over(house, uuid, answer)
    rows = await attempts(house, uuid, state="aborted")
    assert [row["reason"] for row in rows] == ["unknown"]
