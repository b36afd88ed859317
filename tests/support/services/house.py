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
from functools import partial
from pathlib import Path

from scheduler.common.ids import new_id
from scheduler.model.job import parse_job
from scheduler.model.wire import AttemptReport, BlobRef
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5, BlobStore
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection, Row, select
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.cancel import cancel_job
from scheduler.supervisor.ports import Ports
from scheduler.supervisor.supervisor import Supervisor
from tests.support.eventually import eventually
from tests.support.invariants import check
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.records import open_new

MAP = {"exec": "true"}
REDUCE = {"exec": "cat", "type": "reduce"}


class House:
    """A database, blobs and a supervisor, which can be started again on what was recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ahead_ms = 0
        self.monotonic: Callable[[], float] = time.monotonic
        self.no_agent: str | None = None  # why this machine's agent is not here
        self.jobs: dict[str, LiveJob] = {}  # all that were made here
        self.open()

    def clock(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def wait_ms(self, ms: int) -> None:
        """So much time passes, as far as the supervisor knows."""
        self.ahead_ms += ms

    async def look_around(self) -> None:
        """What the supervisor does every few seconds."""
        await self.supervisor.agent_service.lose_silent()
        await self.supervisor.look_around()
        await self.supervisor.forget_expired()

    def open(self) -> None:
        self.db = open_new(self.path / "db")
        self.blobs = BlobStore(self.path / "blobs")
        ports = Ports(monotonic=lambda: self.monotonic(), why_no_agent=lambda: self.no_agent)
        self.supervisor = Supervisor(self.db, self.blobs, self.clock, "{}/{}".format, ports=ports)

    async def close(self) -> None:
        await self.supervisor.stop()
        await self.db.read(partial(check, exists=lambda blob: self.blobs.path(blob).exists()))
        self.db.close()
        self.blobs.close()

    async def objects(self, count: int, prefix: str = "o") -> list[str]:
        new = [NewObject(f"/jill/stor/{prefix}{n}", new_id(), 0, EMPTY_MD5) for n in range(count)]
        await self.db.write(lambda c: namespace.put_objects(c, new, 1))
        return [each.path for each in new]

    async def job(self, *phases: dict[str, object]) -> str:
        uuid = await self.supervisor.create_job("jill", parse_job({"phases": list(phases)}))
        self.jobs[uuid] = self.live(uuid)
        return uuid

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

    async def until_read(self, uuid: str, enough: Callable[[int], bool]) -> None:
        """Wait until the reducers of a live job have been given so many inputs in all."""
        live = self.live(uuid)
        reducers = [pool for pool, phase in zip(live.pools, live.spec.phases, strict=True) if phase.reduce]

        def arrived(c: Connection) -> int:
            return sum(row["arrived"] for pool in reducers for row in c.all("reduce_tasks", pool=pool))

        async with asyncio.timeout(60):
            while True:
                changed = live.changed
                if enough(await self.db.read(arrived)):
                    return
                await changed.wait()

    async def cancel_unseen(self, live: LiveJob) -> None:
        """Record that a job is cancelled, as a service that dies at that instant."""
        await self.db.write(partial(cancel_job, live=live, now=self.clock()))

    async def leased_uuids(self, reports: list[AttemptReport]) -> list[str]:
        """UUIDs of the tasks of some reports."""
        tasks = json.dumps([report.task for report in reports])
        return [row["uuid"] for row in await self.db.read(select("tasks_for_reports", tasks=tasks))]

    async def records_of(self, uuid: str) -> dict[str, int]:
        """How many rows there are of a job, by table; tables without any are left out."""
        live = self.jobs[uuid]
        of_job = f"= {live.id}"
        of_pools = f"IN ({', '.join(map(str, live.pools))})"
        tables = {"jobs": f"id {of_job}", "tasks": f"pool {of_pools}"}
        tables |= dict.fromkeys(("phases", "inputs", "outputs", "errors"), f"job {of_job}")
        tables["task_inputs"] = f"task IN (SELECT id FROM tasks WHERE pool {of_pools})"

        def count(c: Connection) -> dict[str, int]:
            counts = {
                table: c.plain(f"SELECT count(*) FROM {table} WHERE {where}")[0][0] for table, where in tables.items()
            }
            return {table: rows for table, rows in counts.items() if rows}

        return await self.db.read(count)

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

        async def all_named() -> bool:
            return {path.name for path in (self.path / "blobs").glob("*/*")} <= await self.named_blobs()

        await eventually(all_named, "every blob has a name")

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
        """Hand in all that an agent has reported so far once more; it removes what it is told to."""
        await agent.hand_in(list(agent.reported))

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
