"""A cluster without machines: the real supervisor on a real database, nodes that are dictionaries, and a die.

Each step is drawn from a seed: a node asks for work, runs a task, reads a reducer's next input, reports; or it dies,
with or without its disk, is cut off, comes back; a reply is lost, a report comes twice, or late; time passes; the
supervisor is killed. Tasks are functions of their input, so whatever was drawn, the job must end with the outputs and
counters of one that nothing happened to.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from scheduler.model.job import parse_job
from scheduler.model.wire import AgentState, AttemptReport, PollReply, ReportRequest
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection
from scheduler.supervisor.agents.presence import UnknownAgentError
from scheduler.supervisor.ports import Ports
from scheduler.supervisor.supervisor import Supervisor
from tests.support.simulated.database import Shared, StepDatabase
from tests.support.simulated.node import Node
from tests.support.simulated.tasks import SHAPES, Does, Shape, as_is

# Turns of the event loop after which whatever a step has begun is left in the middle, or done.
TURNS = (2, 40)


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
