"""A supervisor on a real database and real blobs, without gateway and agent, for tests of jobs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from scheduler.model.job import parse_job
from scheduler.model.wire import BlobRef, ReportRequest
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5, BlobStore, new_id
from scheduler.objects.entries import NewObject
from scheduler.records.database import Database, Row, select
from scheduler.supervisor.live import LiveJob
from scheduler.supervisor.supervisor import Supervisor
from tests.support.instant_agent import InstantAgent

MAP = {"exec": "true"}
REDUCE = {"exec": "cat", "type": "reduce"}


class House:
    """A database, blobs and a supervisor, which can be started again on what was recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        self.db = Database(self.path / "db")
        self.blobs = BlobStore(self.path / "blobs")
        self.supervisor = Supervisor(self.db, self.blobs, lambda: time.time_ns() // 1_000_000, "{}/{}".format)

    async def close(self) -> None:
        await self.supervisor.stop()
        self.db.close()
        self.blobs.close()

    async def objects(self, count: int, prefix: str = "o") -> list[str]:
        new = [NewObject(f"/jill/stor/{prefix}{n}", new_id(), 0, EMPTY_MD5) for n in range(count)]
        await self.db.write(lambda c: namespace.put_objects(c, new, 1))
        return [each.path for each in new]

    async def job(self, *phases: dict[str, object]) -> str:
        return await self.supervisor.create_job("jill", parse_job({"phases": list(phases)}))

    def live(self, uuid: str) -> LiveJob:
        live = self.supervisor.jobs.by_uuid(uuid)
        assert live is not None
        return live

    async def give(self, uuid: str, lines: list[str], end: bool = True) -> None:
        await self.supervisor.add_inputs(self.live(uuid), lines)
        if end:
            await self.supervisor.end_input(self.live(uuid))

    async def row(self, uuid: str):
        return (await self.db.read(select("job_by_uuid", uuid=uuid)))[0]

    async def archived(self, uuid: str) -> None:
        async with asyncio.timeout(60):
            while self.supervisor.jobs.by_uuid(uuid) is not None:
                live = self.live(uuid)
                await live.changed.wait()

    async def dispatched(self, uuid: str) -> None:
        """Wait until all inputs of a live job, so far, have become tasks."""
        await self.until(lambda row: row["dispatched"] == row["inputs"], uuid)

    def blob(self, data: bytes) -> BlobRef:
        """A fresh blob, as an agent makes one."""
        fd = self.blobs.create()
        try:
            os.write(fd, data)
            digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
            blob = BlobRef(id=new_id(), size=len(data), md5=digest)
            self.blobs.publish(fd, blob.id)
        finally:
            os.close(fd)
        return blob

    async def named_blobs(self) -> set[str]:
        return await self.db.read(lambda c: {row["blob"] for row in c.each("blobs_of_entries")})

    async def no_blob_left(self) -> None:
        """Wait until every blob has a name: what has none goes after the transaction that took it."""
        async with asyncio.timeout(30):
            while {path.name for path in (self.path / "blobs").glob("*/*")} - await self.named_blobs():
                await asyncio.sleep(0.01)

    async def failures(self, uuid: str) -> list[str]:
        job = (await self.row(uuid))["id"]
        rows = await self.db.read(select("list_failures", job=job, after=0, limit=100_000))
        return [row["name"] for row in rows]

    async def until(self, holds: Callable[[Row], bool], uuid: str) -> None:
        """Wait until something is true of the record of a live job."""
        async with asyncio.timeout(60):
            while True:
                changed = self.live(uuid).changed
                if holds(await self.row(uuid)):
                    return
                await changed.wait()

    async def report_again(self, agent: InstantAgent) -> None:
        """Hand in all that an agent has reported so far once more."""
        request = ReportRequest(agent=agent.id, state=agent.state(), attempts=agent.reported)
        await self.supervisor.desk.report(request)

    async def outputs(self, uuid: str) -> list[str]:
        job = (await self.row(uuid))["id"]
        rows = await self.db.read(select("list_outputs", job=job, after=0, limit=100_000))
        return [row["name"] for row in rows]

    async def errors(self, uuid: str) -> list[dict[str, str]]:
        job = (await self.row(uuid))["id"]
        rows = await self.db.read(select("list_errors", job=job, after=0, limit=100_000))
        return [json.loads(row["name"]) for row in rows]

    @contextlib.asynccontextmanager
    async def agent(self, **options) -> AsyncIterator[InstantAgent]:
        agent = InstantAgent(self.supervisor, **options)
        running = asyncio.ensure_future(agent.run())
        registered = asyncio.ensure_future(agent.registered.wait())
        await asyncio.wait([running, registered], return_when=asyncio.FIRST_COMPLETED)
        registered.cancel()
        try:
            yield agent
        finally:
            if running.done():
                running.result()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
