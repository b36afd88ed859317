"""Operations at a real supervisor: how tests start them, look at them, and run them to their end."""

from __future__ import annotations

import json

from scheduler.common.ids import new_id
from scheduler.model.job import parse_job
from scheduler.model.wire import LEASE_SECONDS, BlobRef
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.records.database import select
from scheduler.supervisor.jobs.status import status as job_status
from tests.support.operations.reader import Reader
from tests.support.services.house import House


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


async def reasons_of(house: House, uuid: str) -> list[tuple[str, str | None]]:
    return [(row["state"], row["reason"]) for row in await attempts(house, uuid)]


async def shown(house: House, uuid: str) -> dict:
    """What users see of an operation."""
    return await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))


async def go_silent(house: House) -> None:
    """All agents are silent for longer than a lease, while the supervisor looks every second."""
    start = house.monotonic()
    for second in range(1, int(LEASE_SECONDS) + 2):
        house.monotonic = lambda now=start + second: now
        await house.supervisor.agent_service.lose_silent()
