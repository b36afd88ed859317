"""Inputs whose bytes are missing in the store: an operation waits for them, or fails, as its document says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scheduler.model.wire import AttemptReport, Outcome, PoolSpec, TaskLease
from scheduler.objects import namespace
from scheduler.records.database import select
from scheduler.supervisor.jobs.status import status as job_status
from scheduler.supervisor.operations import unavailable_inputs
from tests.support.eventually import eventually
from tests.support.operations.reader import Reader
from tests.support.operations.running import attempts, content, operation, over, put, result, status
from tests.support.services.house import House

SENTENCE = '"/jill/stor/in/b" is not available: its bytes are missing in the store'
OUTPUT = {"path": "/jill/stor/out/"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unavailable_inputs, "PAUSES", (0.01, 0.02))


async def objects(house: House) -> str:
    """Three objects; the blob of the second."""
    for name in "abc":
        await put(house, f"/jill/stor/in/{name}", f"{name}\n".encode())
    entry = await house.db.read(lambda c: namespace.lookup(c, "/jill/stor/in/b"))
    assert entry is not None
    return entry.etag


@contextmanager
def without(house: House, blob: str) -> Iterator[None]:
    """The bytes of a blob are not there meanwhile."""
    path = house.blobs.path(blob)
    away = path.with_name(f".{path.name}")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


async def waiting(house: House, uuid: str) -> list[str]:
    found = await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))
    return [each["reason"] for each in found.get("waiting", [])]


async def map_of(house: House, **more) -> str:
    spec = {"exec": "cat", "per_object": True}
    return await operation(house, type="map", inputs=["/jill/stor/in/"], output=OUTPUT, spec=spec, **more)


async def test_an_operation_waits_for_its_inputs_before_it_begins_and_says_so(house):
    blob = await objects(house)
    async with house.agent(answer=Reader(house)) as agent:
        with without(house, blob):
            uuid = await map_of(house)
            assert await eventually(lambda: waiting(house, uuid), "it says what it waits for") == [SENTENCE]
            assert await status(house, uuid) == "pending"
            assert not agent.leases
        await house.archived(uuid)
    assert await status(house, uuid) == "completed"


async def test_an_operation_that_is_not_to_wait_fails_without_an_attempt(house):
    blob = await objects(house)
    with without(house, blob):
        uuid = await map_of(house, unavailable={"strategy": "fail"})
        await house.archived(uuid)
    error = {"code": "ServiceUnavailableError", "message": SENTENCE}
    assert await result(house, uuid) == {"outcome": "failed", "error": error}
    assert not await attempts(house, uuid)


def lacking(house: House):
    """An agent that says so if it cannot read an input."""
    reader = Reader(house)

    def answer(spec: PoolSpec, task: TaskLease) -> AttemptReport:
        try:
            return reader(spec, task)
        except FileNotFoundError:
            return AttemptReport(
                task=task.task, attempt=task.attempt, outcome=Outcome.LOST, code="ServiceUnavailableError",
                message="error fetching inputs", reason="failed_chunks",
            )  # fmt: skip

    return answer


async def test_what_is_missing_later_is_waited_for_and_costs_no_retry(house):
    blob = await objects(house)
    uuid = await map_of(house)
    await eventually(lambda: house.live(uuid).standing.stage is None, "its tasks are planned")
    with without(house, blob):
        async with house.agent(answer=lacking(house)):
            assert await eventually(lambda: waiting(house, uuid), "it says what it waits for") == [SENTENCE]
            assert house.live(uuid).lacking
    await over(house, uuid, lacking(house))
    assert b"".join((await content(house, "/jill/stor/out")).values()) == b"a\nb\nc\n"
    retries = await house.db.read(select("job_by_uuid", uuid=uuid))
    assert (retries[0]["retries"], retries[0]["failed"]) == (0, 0)


async def test_what_is_missing_later_fails_an_operation_that_is_not_to_wait(house):
    blob = await objects(house)
    uuid = await map_of(house, unavailable={"tactics": "fail"})
    await eventually(lambda: house.live(uuid).standing.stage is None, "its tasks are planned")
    with without(house, blob):
        async with house.agent(answer=lacking(house)):
            await house.archived(uuid)
    error = (await result(house, uuid))["error"]
    assert error["message"] == "the input of map task 1, attempt 1 is not available: error fetching inputs"
