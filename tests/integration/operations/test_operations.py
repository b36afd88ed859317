"""Operations at a real supervisor, with an agent that runs no programs: from a document to the published output."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.common.ids import new_id
from scheduler.model.errors import WireError
from scheduler.model.job import parse_job
from scheduler.model.wire import AttemptReport, PoolSpec, TaskLease
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.supervisor.job_work import AHEAD
from scheduler.supervisor.jobs.changes import Changes
from scheduler.supervisor.operations import creation, ending, steps
from tests.support.eventually import eventually
from tests.support.operations.reader import LINES, Reader
from tests.support.operations.running import attempts, content, finished, operation, over, put, result, shown, status


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


async def test_a_part_that_was_not_hashed_is_joined_even_if_it_is_alone(house):
    """So that no object is without an MD5, whatever an agent takes a task for."""
    await put(house, "/jill/stor/in", b"".join(LINES))
    reader, kinds = Reader(house), []

    def forgets(spec, lease):
        report = reader(spec, lease)
        kinds.append(spec.phase)
        if spec.phase == 0:
            [output] = report.outputs
            report.outputs[0] = replace(output, blob=replace(output.blob, md5=None))
        return report

    output, spec = {"path": "/jill/stor/out"}, {"exec": "cat"}
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], output=output, spec=spec)
    await over(house, uuid, forgets)
    assert kinds == [0, 1]
    assert (await content(house, "/jill/stor"))["out"] == b"".join(LINES)


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


async def test_tasks_are_made_ahead_of_the_agents_and_not_all_at_once(house):
    await put(house, "/jill/stor/in", b"x\n" * 5000)
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat", "task_size": 2})
    await eventually(lambda: house.supervisor.jobs.ready[house.live(uuid).pools[0]] >= AHEAD, "tasks are ready")
    assert house.supervisor.jobs.ready[house.live(uuid).pools[0]] < AHEAD + 1000
    await house.supervisor.cancel(house.live(uuid))
    await house.archived(uuid)


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
