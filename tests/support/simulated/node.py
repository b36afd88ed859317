"""A simulated node: an agent and its disk, as dictionaries."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from scheduler.agent.pools.completion import stopped_report
from scheduler.model import naming
from scheduler.model.credentials.tickets import source_of
from scheduler.model.wire import (
    AgentState,
    AttemptReport,
    BlobRef,
    FeedPage,
    FeedSource,
    FeedState,
    Outcome,
    OutputRecord,
    PollReply,
    PollRequest,
    PoolSpec,
    PoolState,
    RegisterRequest,
    ReportRequest,
    TaskLease,
    Usage,
)
from scheduler.objects.sweep import unwanted
from scheduler.records.database import execute
from scheduler.supervisor.agents.presence import UnknownAgentError
from scheduler.supervisor.tasks.blob_ownership import blobs_of
from tests.support.simulated.tasks import digest

if TYPE_CHECKING:
    from tests.support.simulated.cluster import Cluster

SLOTS = 3


@dataclass(slots=True)
class Reading:
    """A reducer that runs: what it was given, and what it has read of that."""

    spec: PoolSpec
    lease: TaskLease
    given: list[FeedSource] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    ended: bool = False

    def take(self, page: FeedPage) -> None:
        for source in page.sources:
            assert source.seq == len(self.given) + 1, "inputs come in order, each once"
            self.given.append(source)
        self.ended = page.end


class Node:
    """An agent and its disk. What it does when, the cluster says."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.disk: dict[str, bytes] = {}
        self.key = str(uuid.uuid4())  # lies beside them
        self.exchanged = False  # the disk is another one, and the supervisor has not heard of it
        self.up = False
        self.cut_off = False
        self.begin()

    def begin(self) -> None:
        """What an agent knows when it starts."""
        self.agent = 0
        self.seen = 0
        self.asked: asyncio.Task[PollReply] | None = None
        self.specs: dict[int, PoolSpec] = {}
        self.instances: dict[int, int] = {}
        self.queue: list[tuple[PoolSpec, TaskLease]] = []
        self.readings: dict[tuple[int, int], Reading] = {}
        self.finished: list[AttemptReport] = []
        self.reported: list[AttemptReport] = []

    @property
    def serves(self) -> str | None:
        """Nobody, if it keeps all that it makes in the store that all share."""
        return None if self.name == self.cluster.serves_nobody else f"http://{self.name}"

    # Life.

    async def start(self) -> None:
        self.begin()
        self.up = True
        await self.register()
        if self.agent:
            old = list(self.disk)
            unknown = await self.cluster.db.read(partial(unwanted, node=self.name, blobs=old))
            for blob in unknown:
                self.disk.pop(blob, None)

    async def register(self) -> None:
        disk = self.disk
        self.begin()
        self.disk = disk
        request = RegisterRequest(
            node=self.name, slots=SLOTS, memory_mb=1 << 20, provider="none", serves=self.serves, tickets=self.key
        )
        if self.exchanged:  # it would be refused until the one before has ended in order (`enrolment`)
            await self.cluster.db.write(execute("node_departs", node=self.name))
            self.exchanged = False
        self.agent = await self.cluster.supervisor.agent_service.register(request)

    def die(self, disk: bool) -> None:
        if self.finished:  # a report may be on its way
            self.cluster.late.append((self.agent, list(self.finished)))
        self.begin()
        self.up = False
        if not disk:
            self.disk.clear()
            self.key = str(uuid.uuid4())
            self.exchanged = True

    # Work.

    def state(self) -> AgentState:
        pools = []
        for pool, count in self.instances.items():
            busy = sum(spec.pool == pool for spec, _ in self.queue)
            busy += sum(reading.spec.pool == pool for reading in self.readings.values())
            pools.append(PoolState(pool=pool, instances=count, room=max(0, 2 * count - busy)))
        feeds = [
            FeedState(task=task, attempt=attempt, after=reading.given[-1].seq if reading.given else 0, room=2)
            for (task, attempt), reading in self.readings.items()
            if not reading.ended and len(reading.given) - len(reading.read) < 3
        ]
        return AgentState(seen=self.seen, pools=pools, feeds=feeds)

    async def poll(self) -> None:
        """Hang up, if still waiting, and ask; take what came."""
        agent_service = self.cluster.supervisor.agent_service
        asked = asyncio.ensure_future(agent_service.poll(PollRequest(agent=self.agent, state=self.state())))
        self.cluster.asked.add(asked)
        await self.cluster.turns()
        if not asked.done() or self.cluster.unlucky(0.1):
            return
        try:
            reply = asked.result()
        except UnknownAgentError:
            await self.register()
            return
        if reply.number > self.seen:
            self.take(reply)
        for blob in reply.discard:
            self.disk.pop(blob, None)

    def take(self, reply: PollReply) -> None:
        self.seen = reply.number
        for gone in reply.cancel:
            self.readings.pop((gone.task, gone.attempt), None)
            self.queue = [(s, t) for s, t in self.queue if (t.task, t.attempt) != (gone.task, gone.attempt)]
            if any(spec.operation is not None for spec in self.specs.values()):
                self.finished.append(stopped_report(gone))
        for grant in reply.pools:
            if grant.spec:
                self.specs[grant.pool] = grant.spec
            self.instances[grant.pool] = grant.instances
            for lease in grant.tasks:
                if lease.fed:
                    self.readings[lease.task, lease.attempt] = reading = Reading(self.specs[grant.pool], lease)
                    if lease.feed is not None:
                        reading.take(lease.feed)
                else:
                    self.queue.append((self.specs[grant.pool], lease))
        for page in reply.feeds:
            if reading := self.readings.get((page.task, page.attempt)):
                reading.take(page)
        for pool in reply.release:
            self.instances.pop(pool, None)

    def fetch(self, blob: BlobRef) -> bytes | None:
        """The bytes of an input, or None if they cannot be had."""
        if not blob.size:
            return b""
        if blob.node is None:
            return self.cluster.shared.get(blob.id)
        if blob.node == self.name:
            return self.disk.get(blob.id)
        holder = self.cluster.nodes[blob.node]
        if not holder.up or holder.cut_off or self.cut_off:
            return None
        assert holder.serves is not None
        if blob.source != source_of(holder.serves, holder.key, blob.id, self.name):
            return None
        return holder.disk.get(blob.id)

    def run_one(self) -> None:
        if not self.queue:
            return
        spec, lease = self.queue.pop(0)
        assert lease.blob is not None
        self.cluster.where[lease.blob.node in (None, self.name)] += lease.blob.node is not None
        data = self.fetch(lease.blob)
        if data is None:
            self.finished.append(self.missing(lease, lease.blob.id))
        else:
            self.finished.append(self.ended(spec, lease, data))

    def read_one(self, key: tuple[int, int]) -> None:
        reading = self.readings[key]
        if len(reading.read) < len(reading.given):
            source = reading.given[len(reading.read)]
            blob = source.blob
            data = self.fetch(blob)
            if data is None:
                del self.readings[key]
                self.finished.append(self.missing(reading.lease, blob.id))
            else:
                reading.read.append(data if source.part is None else b"%d of %s" % (source.part, data))
        elif reading.ended:
            del self.readings[key]
            self.finished.append(self.ended(reading.spec, reading.lease, b"|".join(sorted(reading.read))))

    def missing(self, lease: TaskLease, blob: str) -> AttemptReport:
        return AttemptReport(task=lease.task, attempt=lease.attempt, outcome=Outcome.LOST, missing=[blob])

    def ended(self, spec: PoolSpec, lease: TaskLease, data: bytes) -> AttemptReport:
        said = self.cluster.does(spec, data, lease.attempt)
        usage = Usage(wall_us=1 + digest(data) % 1000, bytes_in=len(data))
        if said is None:
            return AttemptReport(
                task=lease.task, attempt=lease.attempt, outcome=Outcome.FAILED, code="UserTaskError",
                message="user command exited with code 1", usage=usage,
            )  # fmt: skip
        records = []
        for each in said:
            own = each.name is None and not spec.last and self.serves is not None
            blob = self.write(each.data, own)
            name = each.name or naming.output_base(spec.login, spec.job, lease.base, spec.phase) + blob.id
            reducer = digest(each.data) % spec.next_reducers if spec.next_reducers else None
            records.append(OutputRecord(name=name, blob=blob, reducer=reducer, named=each.name is not None))
        return AttemptReport(task=lease.task, attempt=lease.attempt, outcome=Outcome.OK, outputs=records, usage=usage)

    def write(self, data: bytes, own: bool) -> BlobRef:
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        blob = BlobRef(id=str(uuid.uuid4()), size=len(data), md5=md5, node=self.name if own else None)
        if data:
            (self.disk if own else self.cluster.shared)[blob.id] = data
        return blob

    async def report(self) -> None:
        if not self.finished:
            return
        batch = list(self.finished)
        request = ReportRequest(agent=self.agent, state=self.state(), attempts=batch)
        if self.cluster.unlucky(0.05):
            return  # it did not arrive
        try:
            reply = await self.cluster.supervisor.agent_service.report(request)
        except UnknownAgentError:
            await self.register()
            return
        self.drop(batch, {(attempt.task, attempt.attempt) for attempt in reply.discard})
        if not self.cluster.unlucky(0.1):  # else the answer did not, and it is sent again
            self.finished = self.finished[len(batch) :]
            self.reported += batch

    def drop(self, batch: list[AttemptReport], refused: set[tuple[int, int]]) -> None:
        """Remove what attempts have left that came to nothing."""
        for report in batch:
            if (report.task, report.attempt) in refused:
                for blob in blobs_of(report):
                    self.disk.pop(blob.id, None)
                    self.cluster.shared.pop(blob.id, None)

    def repeat(self) -> None:
        """A report that was answered long ago goes out once more."""
        if self.reported:
            self.finished.append(self.cluster.die.choice(self.reported))
