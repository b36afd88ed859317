"""The contract of jobs, sentence by sentence, as far as it is the supervisor's: routing, references, ends, retries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.common.ids import new_id
from scheduler.model.wire import AttemptReport, Outcome, OutputRecord, SavedFile
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from tests.support.nodes.instant_agent import failed, ok
from tests.support.services.house import MAP, REDUCE


def in_first_phase(*outputs: OutputRecord):
    """Each task of the first phase emits these; the others one empty output."""

    def answer(spec, task) -> AttemptReport:
        report = ok(spec, task)
        return report if spec.phase else replace(report, outputs=list(outputs))

    return answer


async def run(house, *phases, answer=ok, inputs: int = 1):
    """A job from its creation to its archive; its UUID and the agent that ran it."""
    names = await house.objects(inputs)
    job = await house.job(*phases)
    await house.give(job, names)
    async with house.agent(answer=answer) as agent:
        await house.archived(job)
    return job, agent


# Reducers.


async def test_a_job_can_have_128_reducers_and_each_runs(house):
    job, agent = await run(house, MAP, REDUCE | {"count": 128}, inputs=300)
    assert sorted(lease.part for lease in agent.leases if lease.part is not None) == list(range(128))
    assert sum(len(blobs) for blobs in agent.fed.values()) == 300
    assert len(await house.outputs(job)) == 128


async def test_job_inputs_are_spread_over_reducers_of_the_first_phase(house):
    _, agent = await run(house, REDUCE | {"count": 4}, inputs=400)
    assert sum(len(blobs) for blobs in agent.fed.values()) == 400
    assert all(len(blobs) > 40 for blobs in agent.fed.values())


@pytest.mark.parametrize(("count", "given"), [(128, 127), (2, 0)])
async def test_the_reducer_that_a_task_names_gets_the_object(house, count, given):
    output = OutputRecord(name="/jill/jobs/j/stor/x", blob=house.blob(b"x"), reducer=given)
    _, agent = await run(house, MAP, REDUCE | {"count": count}, answer=in_first_phase(output))
    chosen = {lease.task for lease in agent.leases if lease.part == given}
    assert {task for task, blobs in agent.fed.items() if blobs} == chosen


async def test_an_object_for_a_reducer_that_does_not_exist_stays_if_it_was_named(house):
    blob = house.blob(b"x")
    output = OutputRecord(name="/jill/stor/kept", blob=blob, reducer=2, named=True)
    job, _ = await run(house, MAP, REDUCE | {"count": 2}, answer=in_first_phase(output))
    (error,) = await house.errors(job)
    assert error["what"] == 'phase 1: input "/jill/stor/kept" (from job input "/jill/stor/o0")'
    assert error["message"] == 'reducer "2" specified, but only 2 reducers exist'
    assert house.blobs.path(blob.id).exists()


async def test_a_reducer_is_ignored_where_a_map_follows(house):
    output = OutputRecord(name="/jill/jobs/j/stor/x", blob=house.blob(b"x"), reducer=100)
    job, _ = await run(house, MAP, MAP, answer=in_first_phase(output))
    assert (await house.errors(job), len(await house.outputs(job))) == ([], 1)


async def test_later_inputs_of_a_failed_reducer_are_dropped_without_an_error(house):
    names = await house.objects(3)
    job = await house.job(REDUCE)

    def early(spec, task) -> AttemptReport:
        return failed(spec, task)

    async with house.agent(answer=early, hasty=True):  # it fails before it has read anything
        await house.give(job, names[:1], end=False)
        await house.until(lambda row: row["errors"] == 1, job)
        await house.give(job, names[1:])
        await house.archived(job)
    (error,) = await house.errors(job)
    assert error["what"] == "phase 0: reduce"
    assert "input" not in error
    assert await house.failures(job) == []


async def test_what_follows_a_reducer_has_no_job_input(house):
    def answer(spec, task) -> AttemptReport:
        return failed(spec, task) if spec.phase == 1 else ok(spec, task)

    job, agent = await run(house, REDUCE, MAP, answer=answer)
    (error,) = await house.errors(job)
    assert error["what"] == f'phase 1: input "{error["input"]}"'
    assert "p0input" not in error
    assert await house.failures(job) == []
    assert agent.leases[-1].base.startswith("/reduce.0.")


# References.


async def test_a_reference_is_read_with_the_rights_of_the_job(house):
    for path in ("/jack/stor/private", "/jack/public/shared"):
        await house.db.write(lambda c, path=path: namespace.put_object(c, NewObject(path, new_id(), 0, EMPTY_MD5), 1))
    await house.db.write(lambda c: namespace.put_directory(c, "/jill/stor/dir", {}, 1))
    given = ("/jack/stor/private", "/jack/public/shared", "/jill/stor/dir", "/jill", "/jill/stor/none")
    job, _ = await run(house, MAP, MAP, answer=in_first_phase(*(OutputRecord(name=name) for name in given)))
    assert [(error["code"], error["message"]) for error in await house.errors(job)] == [
        ("AuthorizationError", 'permission denied: "/jack/stor/private"'),
        ("InvalidArgumentError", 'objects of type "directory" are not supported: "/jill/stor/dir"'),
        ("ResourceNotFoundError", 'malformed object name: "/jill"'),
        ("ResourceNotFoundError", 'no such object: "/jill/stor/none"'),
    ]
    assert {error["phase"] for error in await house.errors(job)} == {"1"}
    assert await house.failures(job) == ["/jill/stor/o0"] * 4
    assert len(await house.outputs(job)) == 1


async def test_a_reference_of_the_last_phase_is_listed_whatever_it_names(house):
    given = ("/jack/stor/private", "/jill/stor/none", "/jill/stor/none")
    job, _ = await run(house, MAP, answer=in_first_phase(*(OutputRecord(name=name) for name in given)))
    assert await house.outputs(job) == list(given)
    assert await house.errors(job) == []


async def test_a_referenced_object_goes_to_the_reducer_that_was_named_and_is_not_removed(house):
    blob = house.blob(b"mine")
    await house.db.write(
        lambda c: namespace.put_object(c, NewObject("/jill/stor/mine", blob.id, blob.size, blob.md5), 1)
    )
    refer = in_first_phase(OutputRecord(name="/jill/stor/mine", reducer=1))
    _, agent = await run(house, MAP, REDUCE | {"count": 2}, answer=refer)
    chosen = next(lease.task for lease in agent.leases if lease.part == 1)
    assert agent.fed[chosen] == [blob.id]
    await house.no_blob_left()
    assert house.blobs.path(blob.id).exists()


async def test_names_of_tasks_keep_the_job_input_through_the_phases(house):
    _, agent = await run(house, MAP, MAP, MAP)
    assert {lease.base for lease in agent.leases} == {"/jill/stor/o0"}


# Retries.


async def test_what_a_script_did_is_never_tried_again(house):
    job, agent = await run(house, MAP, answer=failed)
    assert len(agent.leases) == 1
    assert (await house.row(job))["retries"] == 0


async def test_a_phase_may_ask_for_what_failed_to_be_tried_again(house):
    def third_time_lucky(spec, task) -> AttemptReport:
        return ok(spec, task) if spec.phase or task.attempt > 2 else failed(spec, task)

    job, agent = await run(house, MAP | {"retries": 2}, REDUCE, answer=third_time_lucky, inputs=3)
    row = await house.row(job)
    assert (row["outputs"], row["errors"], row["retries"]) == (1, 0, 6)
    assert sorted(lease.attempt for lease in agent.leases if lease.part is None) == [1, 1, 1, 2, 2, 2, 3, 3, 3]


async def test_what_fails_once_more_than_it_is_tried_again_is_one_error_and_earlier_attempts_leave_nothing(house):
    def saying(spec, task) -> AttemptReport:
        name = f"/jill/jobs/{spec.job}/stor{task.base}.0.err.{task.uuid}"
        saved = SavedFile(name=name, blob=house.blob(f"attempt {task.attempt}".encode()))
        return replace(failed(spec, task), stderr=saved)

    job, _ = await run(house, MAP | {"retries": 1}, answer=saying)
    (error,) = await house.errors(job)
    assert error["message"] == "user command exited with code 1"
    (entry,) = await house.db.read(lambda c: [namespace.lookup(c, error["stderr"])])
    assert house.blobs.path(entry.etag).read_bytes() == b"attempt 2"
    assert await house.failures(job) == ["/jill/stor/o0"]


async def test_what_the_system_lost_is_tried_again_and_nobody_hears_of_it(house):
    def twice_lost(spec, task) -> AttemptReport:
        if task.attempt <= 2:
            return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.LOST)
        return ok(spec, task)

    job, _ = await run(house, MAP, MAP, answer=twice_lost)
    row = await house.row(job)
    assert (row["outputs"], row["errors"], row["retries"]) == (1, 0, 4)


async def test_only_the_last_failure_of_a_retried_task_is_told(house):
    def killed(spec, task) -> AttemptReport:
        return AttemptReport(
            task=task.task, attempt=task.attempt, outcome=Outcome.LOST, code="TaskKilledError",
            message=f"attempt {task.attempt}",
        )  # fmt: skip

    job, agent = await run(house, MAP, answer=killed)
    (error,) = await house.errors(job)
    assert (error["code"], error["message"]) == ("TaskKilledError", "attempt 3")
    assert [lease.attempt for lease in agent.leases] == [1, 2, 3]
    assert await house.failures(job) == ["/jill/stor/o0"]


async def test_a_reducer_that_is_tried_again_is_fed_everything_again(house):
    def lost_first(spec, task) -> AttemptReport:
        if spec.blocking and task.attempt == 1:
            return AttemptReport(task=task.task, attempt=1, outcome=Outcome.LOST)
        return ok(spec, task)

    _, agent = await run(house, MAP, REDUCE, answer=lost_first, inputs=150)
    (fed,) = agent.fed.values()
    assert fed[:150] == fed[150:]


# Input that nobody ends.


async def test_input_is_ended_after_an_hour_without_any(house):
    names = await house.objects(2)
    job = await house.job(MAP)
    await house.give(job, names[:1], end=False)
    house.wait_ms(3_600_000 - 60_000)
    await house.give(job, names[1:], end=False)
    house.wait_ms(3_600_000 - 60_000)
    await house.look_around()
    assert not (await house.row(job))["input_done"]
    house.wait_ms(60_001)
    await house.look_around()
    async with house.agent():
        await house.archived(job)
    row = await house.row(job)
    assert (row["state"], row["cancelled"], row["outputs"]) == ("done", 0, 2)
