"""How jobs end: cancelled jobs leave a clean directory, archives are whole, records go after a day."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from scheduler.model import naming
from scheduler.model.errors import WireError
from scheduler.model.wire import AttemptReport, OutputRecord
from scheduler.objects import namespace
from scheduler.objects.sweep import sweep
from scheduler.records import accounts
from scheduler.supervisor.jobs import archive, expiry, retention
from tests.support.nodes.instant_agent import ok
from tests.support.services.house import MAP, REDUCE

LISTS = ("in.txt", "out.txt", "fail.txt", "err.txt")


async def below(house, path: str) -> list[str]:
    """All objects below a directory."""
    entries = await house.db.read(lambda c: namespace.list_page(c, path, namespace.Page(limit=1000)))
    found = []
    for entry in entries:
        found += await below(house, entry.path) if entry.is_directory else [entry.path]
    return found


def writing(house, data: bytes = b"bytes"):
    """Every task writes some bytes."""

    def answer(spec, task) -> AttemptReport:
        report = ok(spec, task)
        (output,) = report.outputs
        return replace(report, outputs=[replace(output, blob=house.blob(data))])

    return answer


class Gate:
    """Lets reports of a phase pass, up to a number; the agent keeps the others."""

    def __init__(self, house, phase: int, passing: int) -> None:
        self.house, self.phase, self.passing, self.left = house, phase, passing, passing
        self.kept: list[AttemptReport] = []
        self.holding = asyncio.Event()

    def __call__(self, spec, task) -> AttemptReport | None:
        report = writing(self.house)(spec, task)
        if spec.phase != self.phase:
            return report
        self.left -= 1
        if self.left >= 0:
            return report
        self.kept.append(report)
        self.holding.set()
        return None


async def cancelled_in_the_middle(house, *phases, gate: Gate, inputs: int = 40) -> str:
    """A job that is cancelled while the gate holds some of its tasks; what those report comes afterwards."""
    names = await house.objects(inputs)
    job = await house.job(*phases)
    await house.give(job, names, end=False)
    async with house.agent(answer=gate) as agent:
        async with asyncio.timeout(30):
            await gate.holding.wait()
            await house.dispatched(job)
            await house.until(lambda row: row["outputs"] >= gate.passing, job)
        await house.supervisor.cancel(house.live(job))
        await agent.hand_in(gate.kept)
        await house.archived(job)
    return job


# Cancellation.


async def test_a_cancelled_job_leaves_its_outputs_in_its_directory_and_nothing_else(house):
    gate = Gate(house, phase=1, passing=7)
    job = await cancelled_in_the_middle(house, MAP, MAP, gate=gate)
    outputs = await house.outputs(job)
    assert len(outputs) == 7
    assert sorted(await below(house, naming.stor("jill", job))) == sorted(outputs)
    await house.no_blob_left()


async def test_a_cancelled_job_leaves_nothing_of_what_reducers_were_to_read(house):
    names = await house.objects(30)
    job = await house.job(MAP, REDUCE | {"count": 3})
    await house.give(job, names, end=False)
    async with house.agent(answer=writing(house)):
        await house.until_read(job, lambda read: read == 30)
        await house.supervisor.cancel(house.live(job))
        await house.archived(job)
    assert await below(house, naming.stor("jill", job)) == []
    await house.no_blob_left()


async def test_every_task_in_flight_gets_one_error_and_no_other_task_does(house):
    gate = Gate(house, phase=0, passing=0)
    job = await cancelled_in_the_middle(house, MAP, gate=gate)
    errors = await house.errors(job)
    assert {(error["code"], error["message"]) for error in errors} == {("JobCancelledError", "job was cancelled")}
    assert {error["server"] for error in errors} == {"here"}
    assert sorted(error["taskId"] for error in errors) == sorted(await house.leased_uuids(gate.kept))
    assert await house.outputs(job) == []


async def test_inputs_that_were_not_looked_at_are_ignored_by_a_cancelled_job(house):
    job = await house.job(MAP)
    await house.give(job, [f"/jill/stor/none{n}" for n in range(5000)], end=False)
    await house.supervisor.cancel(house.live(job))
    await house.archived(job)
    row = await house.row(job)
    assert (row["inputs"], row["input_done"], row["state"]) == (5000, 1, "done")
    assert row["errors"] == row["dispatched"] < 5000


async def test_what_a_script_named_survives_a_cancellation(house):
    def named(spec, task) -> AttemptReport | None:
        if spec.phase:
            return gate(spec, task)
        output = OutputRecord(name=f"/jill/stor/mine{task.task}", blob=house.blob(b"mine"), named=True)
        return replace(ok(spec, task), outputs=[output])

    gate = Gate(house, phase=1, passing=0)
    names = await house.objects(3)
    job = await house.job(MAP, MAP)
    await house.give(job, names, end=False)
    async with house.agent(answer=named):
        async with asyncio.timeout(30):
            await gate.holding.wait()
        await house.supervisor.cancel(house.live(job))
        await house.archived(job)
    mine = [path for path in await below(house, "/jill/stor") if "mine" in path]
    assert mine
    for entry in (await house.db.read(lambda c: namespace.resolve_many(c, mine))).values():
        assert house.blobs.path(entry.etag).read_bytes() == b"mine"


async def test_a_second_cancellation_is_refused(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names, end=False)
    live = house.live(job)
    await house.supervisor.cancel(live)
    with pytest.raises(WireError, match=f"job {job} is in state 'cancelled'"):
        await house.supervisor.cancel(live)


async def test_a_service_that_stops_right_after_a_cancellation_cleans_up_when_it_is_back(house):
    names = await house.objects(30)
    job = await house.job(MAP, MAP)
    await house.give(job, names, end=False)
    gate = Gate(house, phase=1, passing=0)
    async with house.agent(answer=gate):
        async with asyncio.timeout(30):
            await gate.holding.wait()
    live = house.live(job)
    await house.close()
    house.open()
    await house.cancel_unseen(live)  # committed, and nobody acted on it
    await house.close()
    house.open()
    await house.supervisor.start()
    await house.archived(job)
    await sweep(house.db, house.blobs, house.clock())  # what the agent made and could not report
    await house.no_blob_left()


# The archive.


@pytest.mark.parametrize(("page", "step"), [(1000, "store"), (2, "durable")])
async def test_an_archive_that_fails_half_way_is_made_again_and_leaves_no_bytes(house, monkeypatch, page, step):
    """A small one is stored at once, another one page by page."""
    failures = iter([OSError(28, "No space left on device"), OSError(5, "Input/output error")])
    working = getattr(house.blobs, step)

    async def sometimes(*what: object) -> None:
        if error := next(failures, None):
            raise error
        await working(*what)

    monkeypatch.setattr(archive, "PAGE", page)
    monkeypatch.setattr(house.blobs, step, sometimes)
    names = await house.objects(3)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent():
        await house.archived(job)
    assert next(failures, None) is None
    entries = await house.db.read(
        lambda c: namespace.resolve_many(c, [f"/jill/jobs/{job}/{name}" for name in (*LISTS, "job.json")])
    )
    assert len(entries) == 5
    assert "timeArchiveDone" in json.loads(house.blobs.path(entries[f"/jill/jobs/{job}/job.json"].etag).read_bytes())
    await house.no_blob_left()


async def test_every_list_of_a_job_without_anything_is_an_empty_object(house):
    job = await house.job(MAP)
    await house.give(job, [])
    await house.archived(job)
    found = await house.db.read(lambda c: namespace.resolve_many(c, [f"/jill/jobs/{job}/{name}" for name in LISTS]))
    assert [entry.size for entry in found.values()] == [0] * 4
    assert {entry.headers["access-control-allow-origin"] for entry in found.values()} == {"*"}


# Retention.


async def test_records_go_a_day_after_the_archive_and_objects_stay(house, monkeypatch):
    monkeypatch.setattr(retention, "PAGE", 2)
    names = await house.objects(5)
    jobs = []
    for _ in range(2):
        jobs.append(await house.job(MAP, REDUCE | {"count": 2}))
        await house.give(jobs[-1], [*names, "/jill/stor/none"])
        async with house.agent(answer=writing(house)):
            await house.archived(jobs[-1])
        house.wait_ms(60_000)
    old, young = jobs
    before = await below(house, f"/jill/jobs/{old}")
    house.wait_ms(retention.LINGER_MS - 90_000)
    await house.look_around()
    assert await house.records_of(old) == {}
    assert (await house.records_of(young))["tasks"] == 7
    assert await below(house, f"/jill/jobs/{old}") == before
    for entry in (await house.db.read(lambda c: namespace.resolve_many(c, before))).values():
        assert entry.size == 0 or house.blobs.path(entry.etag).exists()


async def test_jobs_are_deleted_once_they_are_older_than_their_account_keeps_them(house, monkeypatch):
    monkeypatch.setattr(expiry, "PAGE", 2)
    monkeypatch.setattr(expiry, "DELETED_PAGE", 3)
    names = await house.objects(5)
    jobs = [await house.job(MAP, REDUCE | {"count": 2}) for _ in range(3)]
    for job in jobs[:2]:
        await house.give(job, [*names, "/jill/stor/none"])
        async with house.agent(answer=writing(house)):
            await house.archived(job)
        house.wait_ms(60_000)
    old, young, running = jobs
    await house.db.write(lambda c: namespace.put_directory(c, "/jill/jobs/mine", {}, 1))

    async def delete(default: int) -> int:
        return await expiry.delete_expired(house.db, house.blobs, default, house.clock())

    assert await delete(0) == 0  # for ever
    await house.db.write(lambda c: accounts.keep_jobs(c, "jill", 0))
    assert await delete(1) == 0
    await house.db.write(lambda c: accounts.keep_jobs(c, "jill", 90))
    assert await delete(1) == 1
    assert await below(house, f"/jill/jobs/{old}") == []
    assert await below(house, f"/jill/jobs/{young}") != []
    await house.db.write(lambda c: accounts.keep_jobs(c, "jill", None))
    assert await delete(30) == 1
    left = await house.db.read(lambda c: c.all("list_by_name", dir="/jill/jobs", marker="", kind="d", limit=10))
    assert [row["name"] for row in left] == sorted([running, "mine"])
    root = await house.db.read(lambda c: namespace.lookup(c, "/jill/jobs"))
    assert root.children == 2
    await house.no_blob_left()


async def test_a_report_of_a_forgotten_task_removes_nothing(house):
    names = await house.objects(1)
    job = await house.job(MAP)
    await house.give(job, names)
    async with house.agent(answer=writing(house)) as agent:
        await house.archived(job)
        house.wait_ms(retention.LINGER_MS + 60_000)
        await house.look_around()
        await house.report_again(agent)
    (output,) = agent.reported[0].outputs
    assert house.blobs.path(output.blob.id).exists()
