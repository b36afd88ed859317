"""A cluster without machines: the real supervisor on a real database, nodes that are dictionaries, and a die.

Each step is drawn from a seed: a node asks for work, runs a task, reads a reducer's next input, reports; or it dies,
with or without its disk, is cut off, comes back; a reply is lost, a report comes twice, or late; time passes; the
supervisor is killed. Tasks are functions of their input, so whatever was drawn, the job must end with the outputs and
counters of one that nothing happened to.

    undisturbed = await run(seed, faults=False)
    disturbed = await run(seed)
    assert disturbed.result == undisturbed.result
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scheduler.agent.pools.completion import stopped_report
from scheduler.engine import task as engine
from scheduler.model import naming
from scheduler.model.credentials.tickets import source_of
from scheduler.model.job import parse_job
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
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.objects.sweep import unwanted
from scheduler.records.database import Connection
from scheduler.supervisor.agents import service
from scheduler.supervisor.agents.service import UnknownAgentError
from scheduler.supervisor.jobs import retention
from scheduler.supervisor.ports import Ports
from scheduler.supervisor.supervisor import Supervisor
from scheduler.supervisor.tasks import recovery
from scheduler.supervisor.tasks.blob_ownership import blobs_of
from tests.support.invariants import check
from tests.support.services.records import connect

Shape = list[dict[str, object]] | dict[str, object]
MAP = {"exec": "map"}
SHAPES = (
    [MAP, MAP, MAP],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, MAP],
    [MAP, MAP, {"exec": "r", "type": "reduce", "count": 3}],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, MAP, {"exec": "r", "type": "reduce"}],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, {"exec": "r", "type": "reduce", "count": 2}, MAP],
)
# An operation whose lines are divided: its tasks leave shuffle files, of which readers get a partition each.
DIVIDED = {"reducer": {"exec": "r"}, "per_object": True, "partition_count": 3}
SHUFFLE: dict[str, object] = {"type": "map_reduce", "spec": DIVIDED}
DICE: dict[str, object] = {"type": "map_reduce", "spec": {"mapper": {"exec": "m"}, **DIVIDED}}
SLOTS = 3
# Turns of the event loop after which whatever a step has begun is left in the middle, or done.
TURNS = (2, 40)


class StepDatabase:
    """A database that is never committed, whose works are done between two turns of the event loop.

    After each of them the invariants of the records must hold. `exists`: whether a blob is in the shared store.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self.connection = connect("jill")
        self._exists = exists
        self.broken: list[AssertionError] = []  # a background task that meets one is tried again
        self._listeners: list[Callable[[str], None]] = []
        self._fence: Callable[[Any], object] = lambda c: None

    async def write(self, work: Callable[[Any], Any], *, bulk: bool = False) -> Any:
        await asyncio.sleep(0)
        c = self.connection
        c.mark()
        try:
            self._fence(c)
            result = work(c)
        except BaseException:
            c.undo()
            raise
        c.keep()
        self._check()
        told, c.announced = c.announced, []
        for subject in told:
            for listener in self._listeners:
                listener(subject)
        await asyncio.sleep(0)
        return result

    def _check(self) -> None:
        try:
            check(self.connection, self._exists)
        except AssertionError as error:
            self.broken.append(error)
            raise

    async def read(self, work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return work(self.connection)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def behind(self, fence: Callable[[Any], object]) -> StepDatabase:
        view = object.__new__(StepDatabase)
        view.connection, view._listeners, view._fence = self.connection, self._listeners, fence
        view._exists, view.broken = self._exists, self.broken
        return view


class Shared(dict[str, bytes]):
    """The store that all nodes share: blobs by id."""

    def discard(self, blobs: Iterable[str]) -> None:
        for blob in blobs:
            self.pop(blob, None)

    def create(self) -> int:
        return os.memfd_create("blob")

    def publish(self, fd: int, blob: str) -> None:
        self[blob] = os.pread(fd, os.fstat(fd).st_size, 0)

    def drop(self, fd: int) -> None:
        os.close(fd)

    def status(self, blob: str) -> None:
        if blob not in self:
            raise FileNotFoundError(blob)

    async def durable(self) -> None:
        await asyncio.sleep(0)

    async def absent(self, claimed: Iterable[BlobRef]) -> set[str]:
        """As `AgentDesk.absent`, without a thread: a run is to go the same way every time."""
        return {blob.id for blob in claimed if len(self.get(blob.id, b"")) != blob.size}


# What tasks do.


def digest(*parts: object) -> int:
    return int.from_bytes(hashlib.md5(repr(parts).encode(), usedforsecurity=False).digest()[:6], "big")


@dataclass(slots=True)
class Said:
    """One output of a task: its bytes, and the name that it chose, or None."""

    data: bytes
    name: str | None = None


def outputs_of(spec: PoolSpec, data: bytes) -> list[Said] | None:
    """What a task makes of its input; None if it fails."""
    if spec.operation is not None:
        return [Said(b"%d(%s)" % (spec.phase, data))]
    drawn = digest(spec.phase, data)
    if drawn % 13 == 0 and not spec.blocking:
        return None
    said = []
    for number in range(1 + drawn % 3):
        text = b"" if digest(drawn, number) % 11 == 0 else f"{spec.phase}.{number}.{drawn:x}".encode()
        name = f"/{spec.login}/stor/named/{spec.phase}.{number}.{drawn:x}" if digest(number, drawn) % 7 == 0 else None
        said.append(Said(text, name))
    return said


Does = Callable[[PoolSpec, bytes, int], list[Said] | None]


def as_is(spec: PoolSpec, data: bytes, attempt: int) -> list[Said] | None:
    """What a task makes of its input, in whatever attempt."""
    return outputs_of(spec, data)


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
        self.agent = await self.cluster.supervisor.agent_service.register(request)

    def die(self, disk: bool) -> None:
        if self.finished:  # a report may be on its way
            self.cluster.late.append((self.agent, list(self.finished)))
        self.begin()
        self.up = False
        if not disk:
            self.disk.clear()
            self.key = str(uuid.uuid4())

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
                if self.specs[grant.pool].blocking:
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


class Cluster:
    """Three nodes, a supervisor, a job; `die` is the seed's. `does` is what tasks do, by attempt."""

    def __init__(self, seed: int, faults: bool = False, does: Does = as_is) -> None:
        self.does = does
        self.die = random.Random(seed)
        self.faults = faults
        self.shared = Shared()
        self.db = StepDatabase(self.shared.__contains__)
        self.nodes = {name: Node(self, name) for name in ("n1", "n2", "n3")}
        self.asked: set[asyncio.Future[PollReply]] = set()
        self.late: list[tuple[int, list[AttemptReport]]] = []
        self.time = 0.0
        self.serves_nobody = "n3" if seed % 4 == 0 else ""
        self.where: Counter[bool] = Counter()  # map tasks on intermediates, by whether those were on their node

    def unlucky(self, chance: float) -> bool:
        return self.faults and self.die.random() < chance

    async def turns(self) -> None:
        for _ in range(self.die.randint(*TURNS)):
            await asyncio.sleep(0)

    # The supervisor.

    async def open(self) -> None:
        ports = Ports(monotonic=lambda: self.time)
        self.supervisor = Supervisor(self.db, self.shared, lambda: 1, "{}/{}".format, ports=ports)  # type: ignore[arg-type]
        self.supervisor.agent_service.absent = self.shared.absent  # type: ignore[method-assign]
        await self.supervisor.start()

    async def kill_supervisor(self) -> None:
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)
        await self.supervisor.stop(leave=False)
        self.asked.clear()
        await self.open()

    async def pass_time(self, seconds: float) -> None:
        """Seconds pass; whoever is here says so in between."""
        for _ in range(int(seconds)):
            self.time += 1.0
            for node in self.nodes.values():
                if node.up and not node.cut_off and node.agent:
                    try:
                        self.supervisor.agent_service.beat(node.agent)
                    except UnknownAgentError:
                        await node.register()
            await self.supervisor.agent_service.lose_silent()
        if not self.unlucky(0.3):
            await self.turns()

    # The job.

    async def prepare(self, inputs: int, shape: Shape | None = None) -> str:
        """Start a supervisor, with a job that has all its inputs. `shape`: its phases, or an operation's document."""
        shape = shape or SHAPES[self.die.randrange(len(SHAPES))]
        await self.open()
        lines = []
        for number in range(inputs):
            data = f"input {number}".encode()
            path, blob = f"/jill/stor/i{number}", str(uuid.uuid4())
            self.shared[blob] = data
            new = NewObject(path, blob, len(data), "")
            await self.db.write(partial(namespace.put_objects, objects=[new], now=1))
            lines.append(path)
        document = shape if isinstance(shape, dict) else {"phases": shape}
        job = await self.supervisor.create_job("jill", parse_job(document))
        live = self.supervisor.jobs.by_uuid(job)
        assert live is not None
        await self.supervisor.add_inputs(live, lines)
        await self.supervisor.end_input(live)
        return job

    def is_over(self, job: str) -> bool:
        return self.supervisor.jobs.by_uuid(job) is None

    async def work(self, node: Node) -> None:
        """Something that a node does when all is well."""
        what = self.die.random()
        if what < 0.3:
            await node.poll()
        elif what < 0.6:
            node.run_one()
        elif what < 0.8 and node.readings:
            node.read_one(self.die.choice(sorted(node.readings)))
        else:
            await node.report()

    async def step(self) -> None:
        node = self.die.choice(list(self.nodes.values()))
        if not node.up:
            if self.die.random() < 0.2:
                await node.start()
            return
        # The end of a node that serves nobody counts as its tasks' doing, which is another rule.
        what = self.die.random() if self.faults and node.serves else 1.0
        if what < 0.012:
            node.die(disk=self.die.random() < 0.6)
        elif what < 0.02:
            node.cut_off = not node.cut_off
        elif what < 0.03:
            await self.pass_time(self.die.randint(1, 14))
            if self.unlucky(0.15):
                await self.kill_supervisor()
        elif what < 0.035:
            await self.kill_supervisor()
        elif what < 0.04 and node.disk:
            del node.disk[self.die.choice(sorted(node.disk))]  # the disk is not what it was
        elif what < 0.06 and self.late:
            await self.hand_in_late()
        elif what < 0.09:
            node.repeat()
        elif node.cut_off:
            if self.die.random() < 0.1:
                node.cut_off = False
            elif self.die.random() < 0.5:
                node.run_one()
        else:
            await self.work(node)

    async def work_off(self, node: Node) -> None:
        """A node asks, does a piece of each thing that it has, and reports."""
        await node.poll()
        node.run_one()
        for key in sorted(node.readings):
            node.read_one(key)
        await node.report()

    async def hand_in_late(self) -> None:
        agent, reports = self.late.pop()
        try:
            request = ReportRequest(agent=agent, state=AgentState(seen=0), attempts=reports)
            await self.supervisor.agent_service.report(request)
        except UnknownAgentError:
            pass

    async def heal(self) -> None:
        """Everybody comes back, but for one who may be gone for good."""
        gone = self.die.choice([None, "n1", "n2"]) if self.faults else None
        self.faults = False
        for node in self.nodes.values():
            node.cut_off = False
            if node.name == gone:
                node.die(disk=False)
            elif not node.up:
                await node.start()

    async def drive(self, job: str, steps: int) -> None:
        for _ in range(steps if self.faults else 0):
            if self.is_over(job):
                break
            await self.step()
        await self.heal()
        await self.until(job, lambda: False)

    async def until(self, job: str, enough: Callable[[], bool]) -> None:
        """All that are up work, one after the other, until something holds, or the job is over."""
        for number in range(4000):
            for node in self.nodes.values():
                if enough() or self.is_over(job):
                    return
                if node.up:
                    await self.work_off(node)
            if number % 10 == 9:
                await self.pass_time(5)
        raise AssertionError(f"the job does not end:\n{self.picture(job)}")

    def picture(self, job: str) -> str:
        c = self.db.connection
        tasks = c.plain("SELECT * FROM tasks ORDER BY id")
        inputs = c.plain("SELECT * FROM task_inputs WHERE availability <> 0")
        return "\n".join(str(dict(row)) for row in (*tasks, *inputs)) + f"\nready {self.supervisor.jobs.ready}"

    async def result(self, job: str) -> dict[str, Any]:
        """What users and operators see of the job, without the names that are drawn."""

        def look(c: Connection) -> dict[str, Any]:
            (row,) = c.all("job_by_uuid", uuid=job)
            names = [each["name"] for each in c.all("list_outputs", job=row["id"], after=0, limit=10**6)]
            entries = namespace.resolve_many(c, names)
            records = [json.loads(each["name"]) for each in c.all("list_errors", job=row["id"], after=0, limit=10**6)]
            named = c.plain("SELECT name, etag, size FROM entries WHERE dir = '/jill/stor/named'")
            phases = ("number", "issued", "finished", "metered", "wall_us", "bytes_in", "input_ended")
            return {
                "state": row["state"],
                "counts": {key: row[key] for key in ("outputs", "errors", "retries", "dispatched")},
                "phases": [{key: phase[key] for key in phases} for phase in c.all("phases_of_job", job=row["id"])],
                "outputs": sorted(self.bytes_of(entries[name].etag, entries[name].size) for name in names),
                "named": sorted((each["name"], self.bytes_of(each["etag"], each["size"])) for each in named),
                "errors": sorted((each["phase"], each["code"], each["message"]) for each in records),
            }

        return await self.db.read(look)

    def bytes_of(self, blob: str | None, size: int | None) -> bytes:
        return self.shared[blob or ""] if size else b""

    async def leftovers(self) -> dict[str, list[str]]:
        """Blobs that nobody needs when all agents have started again."""
        for node in self.nodes.values():
            node.die(disk=True)
            await node.start()
        return {node.name: sorted(node.disk) for node in self.nodes.values() if node.disk}

    def remakes(self) -> int:
        (row,) = self.db.connection.plain("SELECT coalesce(sum(remakes), 0) AS n FROM tasks")
        count: int = row["n"]
        return count

    async def close(self) -> None:
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)
        await self.supervisor.stop()
        for error in self.db.broken:
            raise error


@dataclass(slots=True)
class Run:
    """What became of a job; how many tasks were made again for it, and of its map tasks on intermediates, how many
    ran where those were, and elsewhere."""

    result: dict[str, Any]
    remakes: int
    local: int
    remote: int


async def run(
    seed: int, faults: bool = True, steps: int = 600, inputs: int = 12, shape: Shape | None = None, does: Does = as_is
) -> Run:
    """One job from its first input to its archive."""
    cluster = Cluster(seed, faults, does)
    job = await cluster.prepare(inputs, shape)
    try:
        for node in cluster.nodes.values():
            await node.start()
        await cluster.drive(job, steps)
        result = await cluster.result(job) | {"leftovers": await cluster.leftovers()}
        return Run(result, cluster.remakes(), cluster.where[True], cluster.where[False])
    finally:
        await cluster.close()


@contextmanager
def without_limits() -> Iterator[None]:
    """However often something is lost, it is tried again: bad luck is not the subject here. Pages are small."""
    changed = [(engine, "MAX_ATTEMPTS", 1 << 30), (recovery, "MAX_MISSES", 1 << 30)]
    changed += [(recovery, "PAGE", 2), (service, "LOSE_PAGE", 2), (retention, "PAGE", 2)]
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changed, before, strict=True):
            setattr(module, name, value)


def survives(seed: int, shape: Shape | None = None) -> Run:
    """Run a job twice, the second time with faults. Raises AssertionError if that makes a difference."""
    with without_limits():
        undisturbed = asyncio.run(run(seed, faults=False, shape=shape))
        disturbed = asyncio.run(run(seed, shape=shape))
    assert undisturbed.result["state"] == "done"
    assert undisturbed.result["leftovers"] == {}
    assert disturbed.result == undisturbed.result, f"seed {seed}"
    return disturbed
