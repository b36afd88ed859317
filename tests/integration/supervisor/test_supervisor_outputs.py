"""Outputs as they are committed: which become objects, what of them is kept, what is done when that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scheduler.common.ids import new_id
from scheduler.model.wire import AttemptReport, BlobRef, Outcome, OutputRecord, SavedFile
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.supervisor.jobs.error_records import archive_line, live_line
from tests.support.nodes.instant_agent import failed, ok
from tests.support.services.house import MAP, REDUCE


async def entries(house, *paths: str):
    found = await house.db.read(lambda c: namespace.resolve_many(c, paths))
    return [found.get(path) for path in paths]


def emitting(house, *names: str, phase: int = 0, **more):
    """Every task of a phase emits these names, the bytes of each its name; in other phases one empty output."""

    def answer(spec, task) -> AttemptReport:
        if spec.phase != phase:
            return ok(spec, task)
        outputs = [OutputRecord(name=name, blob=house.blob(name.encode()), named=True, **more) for name in names]
        return replace(ok(spec, task), outputs=outputs)

    return answer


async def run(house, *phases, answer, inputs: int = 1) -> str:
    names = await house.objects(inputs)
    job = await house.job(*phases)
    await house.give(job, names)
    async with house.agent(answer=answer):
        await house.archived(job)
    return job


@pytest.mark.parametrize(("header", "kept"), [("4", 4), ("1", 1), ("nonsense", 2), ("7", 2)])
async def test_the_copies_that_a_task_asks_for_are_kept_with_the_object(house, header, kept):
    answer = emitting(house, "/jill/stor/out", headers={"x-durability-level": header})
    await run(house, MAP, answer=answer)
    (entry,) = await entries(house, "/jill/stor/out")
    assert entry.copies == kept


async def test_several_outputs_are_listed_in_the_order_of_their_emission(house):
    names = [f"/jill/stor/out{n}" for n in (3, 1, 2)]
    job = await run(house, MAP, answer=emitting(house, *names, names[0]))
    assert await house.outputs(job) == [*names, names[0]]


async def test_an_output_whose_name_is_a_directory_by_now_fails_its_task(house):
    await house.db.write(lambda c: namespace.put_directory(c, "/jill/stor/taken", {}, 1))
    job = await run(house, MAP, MAP, answer=emitting(house, "/jill/stor/free", "/jill/stor/taken"))
    (error,) = await house.errors(job)
    assert (error["phase"], error["code"]) == ("0", "InternalError")
    assert error["message"].startswith('cannot save output "/jill/stor/taken": /jill/stor/taken is a directory')
    assert await house.outputs(job) == []
    assert await house.failures(job) == ["/jill/stor/o0"]
    taken, free = await entries(house, "/jill/stor/taken", "/jill/stor/free")
    assert taken.is_directory
    assert house.blobs.path(free.etag).read_bytes() == b"/jill/stor/free"
    await house.no_blob_left()


async def test_an_output_below_an_object_fails_its_task_and_none_beside_it(house):
    names = await house.objects(3)

    def answer(spec, task) -> AttemptReport:
        name = f"{names[0]}/below" if task.input == names[1] else f"/jill/stor/of{task.task}"
        return emitting(house, name)(spec, task)

    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=answer):
        await house.archived(job)
    (error,) = await house.errors(job)
    assert error["message"] == f'cannot save output "{names[0]}/below": {names[0]} is not a directory'
    assert error["input"] == names[1]
    assert len(await house.outputs(job)) == 2
    await house.no_blob_left()


async def test_an_output_in_another_account_is_never_saved(house):
    job = await run(house, MAP, answer=emitting(house, "/jack/stor/planted"))
    (error,) = await house.errors(job)
    assert (
        error["message"] == 'cannot save output "/jack/stor/planted": jill is not allowed to access /jack/stor/planted'
    )
    assert await entries(house, "/jack/stor/planted") == [None]
    await house.no_blob_left()


async def test_the_directory_of_a_job_takes_more_than_a_directory_of_a_user(house):
    name = "/jill/stor/full"
    await house.db.write(lambda c: namespace.put_directory(c, name, {}, 1))
    await house.db.write(lambda c: namespace.add_children(c, {name: 1_000_001}))
    job = await run(house, MAP, answer=emitting(house, f"{name}/one-more"))
    assert await house.outputs(job) == [f"{name}/one-more"]
    await house.db.write(lambda c: namespace.add_children(c, {name: -1_000_001}))


async def test_what_a_failed_task_printed_is_saved_and_not_forwarded(house):
    def answer(spec, task) -> AttemptReport:
        report = failed(spec, task)
        printed = replace(ok(spec, task).outputs[0], blob=house.blob(b"printed"))
        stderr, core = (SavedFile(name=f"/jill/stor/{name}", blob=house.blob(b"!")) for name in ("stderr", "core"))
        return replace(report, outputs=[printed], stderr=stderr, core=core)

    job = await run(house, MAP, MAP, answer=answer)
    (error,) = await house.errors(job)
    assert (error["stderr"], error["core"]) == ("/jill/stor/stderr", "/jill/stor/core")
    assert all(await entries(house, "/jill/stor/stderr", "/jill/stor/core"))
    assert (await house.row(job))["outputs"] == 0
    assert b"printed" in {house.blobs.path(blob).read_bytes() for blob in await house.named_blobs()}


async def test_a_saved_file_that_could_not_be_named_is_not_promised(house):
    await house.db.write(lambda c: namespace.put_directory(c, "/jill/stor/stderr", {}, 1))

    def answer(spec, task) -> AttemptReport:
        return replace(failed(spec, task), stderr=SavedFile(name="/jill/stor/stderr", blob=house.blob(b"!")))

    job = await run(house, MAP, answer=answer)
    (error,) = await house.errors(job)
    assert "stderr" not in error
    await house.no_blob_left()


async def test_the_archived_record_says_where_and_the_live_one_does_not(house):
    def answer(spec, task) -> AttemptReport:
        return replace(failed(spec, task), instance="i7")

    job = await run(house, MAP, answer=answer)
    (error,) = await house.errors(job)
    archived = json.loads(archive_line(json.dumps(error)))
    assert list(archived) == [
        "taskId", "phaseNum", "server", "machine", "input", "p0input", "what", "code", "message",
    ]  # fmt: skip
    assert (archived["server"], archived["machine"]) == ("here", "i7")
    assert list(json.loads(live_line(json.dumps(error)))) == ["phase", "what", "code", "message", "input", "p0input"]


async def test_one_report_twice_in_a_batch_is_one(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=emitting(house, "/jill/stor/once"), times=2):
        await house.archived(job)
    assert await house.outputs(job) == ["/jill/stor/once"]
    await house.no_blob_left()


async def test_an_input_that_is_overwritten_before_its_task_runs_is_read_as_it_is_then(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names)
    await house.dispatched(job)
    fresh = NewObject(names[0], new_id(), 0, EMPTY_MD5)
    await house.db.write(lambda c: namespace.put_objects(c, [fresh], 2))
    async with house.agent() as agent:
        await house.archived(job)
    assert [lease.blob.id for lease in agent.leases] == [fresh.etag]


async def test_so_is_an_input_that_a_reducer_has_not_read_yet(house):
    names = await house.objects(2)
    job = await house.job(REDUCE)
    await house.give(job, names)
    await house.dispatched(job)
    fresh = NewObject(names[1], new_id(), 0, EMPTY_MD5)
    await house.db.write(lambda c: namespace.put_objects(c, [fresh], 2))
    async with house.agent() as agent:
        await house.archived(job)
    (fed,) = agent.fed.values()
    assert fed[1] == fresh.etag


async def test_two_tasks_that_name_the_same_output_give_two_inputs_that_are_there(house):
    names = await house.objects(2)
    job = await house.job(MAP, MAP)
    await house.give(job, names)
    async with house.agent(answer=emitting(house, "/jill/stor/same")) as agent:
        await house.archived(job)
    read = [lease.blob.id for lease in agent.leases if lease.input == "/jill/stor/same"]
    assert len(read) == 2
    assert house.blobs.path(read[-1]).read_bytes() == b"/jill/stor/same"
    assert len(await house.outputs(job)) == 2


async def test_what_a_script_named_stays_when_it_is_consumed(house):
    await run(house, MAP, REDUCE, answer=emitting(house, "/jill/stor/mine"))
    (entry,) = await entries(house, "/jill/stor/mine")
    assert house.blobs.path(entry.etag).read_bytes() == b"/jill/stor/mine"


async def test_intermediates_of_failed_consumers_go_too(house):
    def answer(spec, task) -> AttemptReport:
        if spec.phase == 0:
            report = ok(spec, task)
            return replace(report, outputs=[replace(report.outputs[0], blob=house.blob(b"between"))])
        return failed(spec, task)

    for consumer in (MAP, REDUCE):
        job = await run(house, MAP, consumer, answer=answer, inputs=5)
        assert (await house.row(job))["errors"] == (5 if consumer is MAP else 1)
        await house.no_blob_left()


async def test_a_task_lost_three_times_is_an_error_that_names_the_node(house):
    def answer(spec, task) -> AttemptReport:
        return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.LOST, instance=f"i{task.attempt}")

    job = await run(house, MAP, answer=answer)
    (error,) = await house.errors(job)
    assert (error["code"], error["server"], error["machine"]) == ("InternalError", "here", "i3")


async def test_an_attempt_may_have_more_outputs_than_anybody_counts(house):
    names = [f"/jill/stor/many/{number}" for number in range(20_000)]

    def answer(spec, task) -> AttemptReport:
        outputs = [OutputRecord(name=name, blob=BlobRef(id=new_id(), size=0, md5=EMPTY_MD5)) for name in names]
        return replace(ok(spec, task), outputs=outputs)

    job = await run(house, MAP, answer=answer)
    assert (await house.row(job))["outputs"] == 20_000
