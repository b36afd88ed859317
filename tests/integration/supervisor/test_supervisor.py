"""The supervisor on a real database, with an agent that answers at once."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace

import pytest

from scheduler.common.ids import new_id
from scheduler.model.errors import WireError
from scheduler.model.wire import (
    AttemptReport,
    BlobRef,
    Outcome,
    OutputRecord,
    RegisterRequest,
    ReportRequest,
)
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.records.database import select
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent, failed, ok
from tests.support.services.house import MAP, REDUCE


async def test_a_map_job_makes_one_task_per_input_duplicates_too(house):
    names = await house.objects(3)
    job = await house.job(MAP)
    await house.give(job, [*names, names[0]])
    async with house.agent():
        await house.archived(job)
    row = await house.row(job)
    assert (row["state"], row["outputs"], row["errors"], row["inputs"]) == ("done", 4, 0, 4)
    assert len(set(await house.outputs(job))) == 4


async def test_inputs_that_name_nothing_become_errors(house):
    (good,) = await house.objects(1)
    await house.db.write(lambda c: namespace.put_directory(c, "/jill/stor/dir", {}, 1))
    await house.db.write(lambda c: namespace.put_object(c, NewObject("/jack/stor/x", new_id(), 0, EMPTY_MD5), 1))
    await house.db.write(lambda c: namespace.put_object(c, NewObject("/jack/public/x", new_id(), 0, EMPTY_MD5), 1))
    lines = ["/jill", "/jill/", "/jill/stor", "/jill/stor/none", "/jill/stor/dir", "/jack/stor/x", "/jack/public/x"]
    job = await house.job(MAP)
    await house.give(job, [*lines, good, "junk", "/no/stor/x"])
    async with house.agent():
        await house.archived(job)
    assert [(error["code"], error["message"]) for error in await house.errors(job)] == [
        ("ResourceNotFoundError", 'malformed object name: "/jill"'),
        ("ResourceNotFoundError", 'no such object: "/jill/"'),
        ("ResourceNotFoundError", 'no such object: "/jill/stor"'),
        ("ResourceNotFoundError", 'no such object: "/jill/stor/none"'),
        ("InvalidArgumentError", 'objects of type "directory" are not supported: "/jill/stor/dir"'),
        ("AuthorizationError", 'permission denied: "/jack/stor/x"'),
        ("ResourceNotFoundError", 'malformed object name: "junk"'),
        ("ResourceNotFoundError", 'no such object: "/no/stor/x"'),
    ]
    assert len(await house.outputs(job)) == 2


async def test_end_of_input_runs_through_phases_and_reducers_run_without_input(house):
    job = await house.job(MAP, REDUCE | {"count": 3}, MAP, REDUCE)
    await house.give(job, [])
    async with house.agent():
        await house.archived(job)
    row = await house.row(job)
    totals = (await house.db.read(select("job_totals", job=row["id"])))[0]
    assert (row["outputs"], totals["tasks"], totals["tasks_done"]) == (1, 3 + 3 + 1, 7)


async def test_every_output_reaches_exactly_one_reducer(house):
    names = await house.objects(200)
    job = await house.job(MAP, REDUCE | {"count": 4})
    await house.give(job, names)
    async with house.agent() as agent:
        await house.archived(job)
    blobs = [blob for fed in agent.fed.values() for blob in fed]
    assert len(blobs) == len(set(blobs)) == 200
    assert len(agent.fed) == 4


async def test_an_explicit_reducer_is_honoured_and_a_wrong_one_is_an_error(house):
    def routed(spec, task) -> AttemptReport:
        report = ok(spec, task)
        if spec.blocking:
            return report
        outputs = [
            OutputRecord(name=f"/jill/jobs/x/{n}", blob=BlobRef(id=new_id(), size=0), reducer=n) for n in (0, 1, 7)
        ]
        return replace(report, outputs=outputs)

    names = await house.objects(10)
    job = await house.job(MAP, REDUCE | {"count": 2})
    await house.give(job, names)
    async with house.agent(answer=routed) as agent:
        await house.archived(job)
    assert sorted(len(fed) for fed in agent.fed.values()) == [10, 10]
    errors = await house.errors(job)
    assert {error["message"] for error in errors} == {'reducer "7" specified, but only 2 reducers exist'}
    assert {error["phase"] for error in errors} == {"1"}
    assert len(errors) == 10


async def test_a_reference_is_resolved_by_the_phase_that_it_reaches(house):
    def refer(spec, task) -> AttemptReport:
        report = ok(spec, task)
        if spec.phase:
            return report
        names = ("/jill/stor/o0", "/jill/stor/gone")
        return replace(report, outputs=[OutputRecord(name=name) for name in names])

    names = await house.objects(1)
    job = await house.job(MAP, MAP)
    await house.give(job, names)
    async with house.agent(answer=refer):
        await house.archived(job)
    (error,) = await house.errors(job)
    assert (error["code"], error["phase"]) == ("ResourceNotFoundError", "1")
    assert error["what"] == 'phase 1: input "/jill/stor/gone" (from job input "/jill/stor/o0")'
    assert len(await house.outputs(job)) == 1


async def test_a_references_last_phase_puts_the_name_itself_in_the_list(house):
    def refer(spec, task) -> AttemptReport:
        return replace(ok(spec, task), outputs=[OutputRecord(name=task.input)])

    names = await house.objects(2)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=refer):
        await house.archived(job)
    assert sorted(await house.outputs(job)) == sorted(names)


async def test_failures_are_listed_with_their_job_input(house):
    names = await house.objects(3)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=failed):
        await house.archived(job)
    row = await house.row(job)
    failures = await house.db.read(select("list_failures", job=row["id"], after=0, limit=10))
    assert sorted(each["name"] for each in failures) == names
    assert row["outputs"] == 0


async def test_a_report_handed_in_twice_changes_nothing(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    sent: list[AttemptReport] = []

    def twice(spec, task) -> AttemptReport:
        fd = house.blobs.create()
        with open(fd, "wb") as file:
            file.write(b"x")
            file.flush()
            blob = BlobRef(id=new_id(), size=1, md5="nQl0N6fZRvrvuEqJpzRmYQ==")
            house.blobs.publish(fd, blob.id)
        report = ok(spec, task)
        sent.append(replace(report, outputs=[replace(report.outputs[0], blob=blob)]))
        return sent[-1]

    await house.give(job, names, end=False)
    async with house.agent(answer=twice) as agent:
        await house.until(lambda row: row["outputs"] > 0, job)
        await house.supervisor.agent_service.report(
            ReportRequest(agent=1, state=agent.state(), attempts=[sent[0], sent[0]])
        )
        row = await house.row(job)
        assert row["outputs"] == 1
        await house.supervisor.end_input(house.live(job))
        await house.archived(job)
    assert house.blobs.path(sent[0].outputs[0].blob.id).exists()


async def test_a_lost_agents_tasks_are_tried_again_and_its_late_reports_thrown_away(house):
    names = await house.objects(4)
    job = await house.job(MAP)
    held: list[AttemptReport] = []

    def hold(spec, task) -> AttemptReport:
        held.append(ok(spec, task))
        raise asyncio.CancelledError  # the agent dies with the leases in its hands

    await house.give(job, names)
    silent = InstantAgent(house.supervisor, answer=hold)
    await asyncio.gather(silent.run(), return_exceptions=True)
    assert held
    async with house.agent():  # the same node registers again
        await house.archived(job)
    row = await house.row(job)
    assert (row["outputs"], row["errors"]) == (4, 0)
    assert row["retries"] > 0
    agent = await house.supervisor.agent_service.register(
        RegisterRequest(node="late", slots=1, memory_mb=1, provider="none")
    )
    state = InstantAgent(house.supervisor).state()
    await house.supervisor.agent_service.report(ReportRequest(agent=agent, state=state, attempts=held))
    assert (await house.row(job))["outputs"] == 4


async def test_a_restart_takes_everything_up_from_the_records_alone(house):
    names = await house.objects(1200)
    job = await house.job(MAP, MAP, REDUCE | {"count": 2})
    await house.give(job, names)
    done = itertools.count(1)

    def die_in_the_middle(spec, task) -> AttemptReport:
        if next(done) > 700:
            raise asyncio.CancelledError
        return ok(spec, task)

    dying = InstantAgent(house.supervisor, answer=die_in_the_middle)
    await asyncio.gather(dying.run(), return_exceptions=True)
    await house.close()
    house.open()
    await house.supervisor.start()
    async with house.agent() as agent:
        await house.archived(job)
    row = await house.row(job)
    assert (row["outputs"], row["errors"], row["retries"]) == (2, 0, 0)
    assert sum(len(set(fed)) for fed in agent.fed.values()) == 1200


async def test_cancelling_ends_the_job_and_kills_what_runs(house):
    names = await house.objects(100)
    job = await house.job(REDUCE, MAP)
    await house.give(job, names, end=False)
    async with house.agent() as agent:
        await eventually(lambda: agent.leases, "a task is leased")
        await house.supervisor.cancel(house.live(job))
        await house.archived(job)
        await eventually(lambda: agent.cancelled, "the agent is told to cancel")
    row = await house.row(job)
    assert (row["state"], row["cancelled"]) == ("done", 1)
    assert [error["code"] for error in await house.errors(job)] == ["JobCancelledError"]


async def test_a_job_that_is_over_takes_no_more(house):
    job = await house.job(MAP)
    live = house.live(job)
    await house.supervisor.end_input(live)
    with pytest.raises(WireError, match=f"job {job} is in state 'done'"):
        await house.supervisor.add_inputs(live, ["/jill/stor/o0"])
    with pytest.raises(WireError, match=f"job {job} is in state 'done'"):
        await house.supervisor.cancel(live)


async def test_ending_input_twice_is_harmless_and_adding_after_it_is_not(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names)
    await house.supervisor.end_input(house.live(job))
    with pytest.raises(WireError, match="inputDone"):
        await house.supervisor.add_inputs(house.live(job), names)


async def test_the_archive_holds_the_whole_lists(house):
    names = await house.objects(2500)
    job = await house.job(MAP)
    await house.give(job, [*names, "/jill/stor/none"])
    async with house.agent():
        await house.archived(job)

    def archived(name: str) -> bytes:
        entry = entries[f"/jill/jobs/{job}/{name}"]
        return house.blobs.path(entry.etag).read_bytes() if entry.size else b""

    paths = [f"/jill/jobs/{job}/{name}" for name in ("in.txt", "out.txt", "fail.txt", "err.txt", "job.json", "live")]
    entries = await house.db.read(lambda c: namespace.resolve_many(c, paths))
    assert f"/jill/jobs/{job}/live" not in entries
    assert archived("in.txt").decode().splitlines() == [*names, "/jill/stor/none"]
    assert archived("out.txt").decode().splitlines() == await house.outputs(job)
    assert archived("fail.txt") == b"/jill/stor/none\n"
    assert json.loads(archived("err.txt"))["phaseNum"] == "0"
    assert json.loads(archived("job.json"))["timeArchiveDone"]


async def test_an_archive_nobody_wants_is_not_made(house):
    job = await house.job(MAP)
    live = house.live(job)
    for name in ("/live", "/stor", ""):
        await house.db.write(lambda c, name=name: namespace.delete(c, f"/jill/jobs/{job}{name}"))
    await house.supervisor.end_input(live)
    await house.archived(job)
    assert await house.db.read(lambda c: namespace.lookup(c, f"/jill/jobs/{job}")) is None


async def test_intermediates_are_gone_when_the_job_is(house):
    def with_bytes(spec, task) -> AttemptReport:
        report = ok(spec, task)
        if spec.phase == 2:
            return report
        fd = house.blobs.create()
        with open(fd, "wb") as file:
            file.write(b"intermediate")
            file.flush()
            blob = BlobRef(id=new_id(), size=12)
            house.blobs.publish(fd, blob.id)
        return replace(report, outputs=[replace(report.outputs[0], blob=blob)])

    names = await house.objects(20)
    job = await house.job(MAP, MAP, REDUCE)
    await house.give(job, names)
    async with house.agent(answer=with_bytes):
        await house.archived(job)
    blobs = house.path / "blobs"
    await eventually(lambda: len(list(blobs.glob("*/*"))) == 4, "in.txt, out.txt, job.json and usage.json alone stay")


async def test_attempts_that_end_badly_leave_no_bytes(house):
    names = await house.objects(1)
    job = await house.job(MAP)

    def lost(spec, task) -> AttemptReport:
        return AttemptReport(task=task.task, attempt=task.attempt, outcome=Outcome.LOST)

    await house.give(job, names)
    async with house.agent(answer=lost):
        await house.archived(job)
    (error,) = await house.errors(job)
    assert (error["code"], error["message"]) == ("InternalError", "internal error")
    assert (await house.row(job))["retries"] == 2
