"""A hostile node with a valid credential beside an honest one: messages of every kind, valid, mutated and broken.

The honest agent runs jobs of two tenants; its tasks write outputs that tell which task wrote them. The hostile one
knows whatever a node can know, and more: the numbers of all tasks and agents, the ids of private objects and of blobs
that are being written. It says what is valid, what is valid but for a lie, and what is no message at all. At the end

- every task that was never leased to the hostile node has exactly the output that its honest attempt wrote;
- no object has a blob of another, and no file is gone or has changed that the hostile node did not make;
- every answer was below 500, and the event loop never stood still for `MAX_STALL` seconds.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from scheduler.common.ids import new_id
from scheduler.gateway.node_credentials import issue
from scheduler.model import wire
from scheduler.model.ids import is_id
from scheduler.model.job import parse_job
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.database import Connection, select
from scheduler.supervisor.agents import service
from tests.support.eventually import eventually
from tests.support.nodes.instant_agent import InstantAgent
from tests.support.services.gateway import Gateway, running_jobs
from tests.support.timing.run_delay import run_delay

MAX_STALL = 1.0
TASKS = 20  # of a job
WORKERS = 6
CHECK_EVERY = 50  # messages between two jobs
KINDS = {
    "register": 1, "poll": 12, "report": 16, "answer": 2, "beat": 2, "sweep": 4, "check": 4, "adopt": 6,
    "supervisors": 1,
}  # fmt: skip
INTEGERS = (0, 1, -1, 2, 7, 1 << 31, (1 << 53) + 1, 1 << 63, 1 << 70, -(1 << 70))
TEXTS = (
    "", "x", "../../../../etc/hostname", "../victim", "/etc/passwd", "/jill/stor/secret", "/bob/../jill/stor/x", "\0",
    "/jill/stor/" + "d/" * 300 + "x", "x" * 70_000, "\u202e", "ÿ" * 36, "http://127.0.0.1:1/", "file:///etc/passwd",
    "evil", "honest", "null", "'; DROP TABLE tasks; --", "%2e%2e%2f", "InternalError", "UserTaskError", "ok", "lost",
)  # fmt: skip
BROKEN = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b'{"agent": 1',
    b'"x"',
    b"[" * 5000,
    b'{"agent":1e999}',
    b"0" * 5000,
)


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@dataclass
class Seen:
    """What the hostile node knows."""

    agent: int = 0
    seen: int = 0
    leases: list[tuple[int, int]] = field(default_factory=list)
    pools: list[int] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)


class Fuzz:
    """One run; everything that is drawn is the seed's."""

    def __init__(self, gateway: Gateway, directory: Path, seed: int) -> None:
        self.gateway = gateway
        self.directory = directory
        self.die = random.Random(seed)
        self.answers: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        self.worst_stall = 0.0
        self.node = Seen()
        self.had: set[int] = set()  # tasks that were ever leased to it
        self.honest: dict[int, tuple[str, str, bytes]] = {}  # by task: job, name and bytes of what it wrote
        self.jobs: list[tuple[str, str]] = []  # login and UUID
        self.kept: dict[str, bytes] = {}  # by path, private objects that are nobody else's

    # The honest side.

    def answer(self, spec: wire.PoolSpec, task: wire.TaskLease) -> wire.AttemptReport:
        data = f"{spec.job} {task.task} {task.attempt}".encode()
        name = f"/{spec.login}/stor/out/{spec.job}/{task.task}"
        blob = self.write(data)
        self.node.blobs.append(blob)
        self.honest[task.task] = spec.job, name, data
        record = wire.OutputRecord(name=name, blob=wire.BlobRef(id=blob, size=len(data), md5=md5_of(data)), named=True)
        return wire.AttemptReport(task=task.task, attempt=task.attempt, outcome=wire.Outcome.OK, outputs=[record])

    def write(self, data: bytes) -> str:
        """A blob without a name."""
        blobs, blob = self.gateway.context.blobs, new_id()
        fd = blobs.create()
        os.write(fd, data)
        blobs.publish(fd, blob)
        os.close(fd)
        return blob

    async def prepare(self) -> None:
        """Private objects, a blob that is being written, and files beside the store."""
        for login, signer in (("jill", self.gateway.jill), ("bob", self.gateway.bob)):
            await self.gateway.request("PUT", f"/{login}/stor/in", b"", by=signer)
        await self.gateway.context.db.write(self.carol)
        self.uploading = self.write(b"being written")
        self.node.blobs.append(self.uploading)
        for place in (self.directory, self.directory.parent, self.gateway.context.blobs.root):
            (place / "victim").write_text("untouched")

    def carol(self, c: Connection) -> None:
        """A third tenant, who runs no jobs."""
        accounts.create(c, "carol", 1)
        for number in range(3):
            path, data = f"/carol/stor/private{number}", f"carol {number}".encode()
            blob = self.write(data)
            namespace.put_objects(c, [NewObject(path, blob, len(data), md5_of(data))], 1)
            self.kept[path] = data
            self.node.blobs.append(blob)

    async def new_job(self) -> None:
        login = self.die.choice(["jill", "bob"])
        supervisor = self.gateway.supervisor
        phases = [{"exec": "true"}, {"exec": "true"}] if self.die.random() < 0.3 else [{"exec": "true"}]
        job = await supervisor.create_job(login, parse_job({"phases": phases}))
        live = supervisor.jobs.by_uuid(job)
        await supervisor.add_inputs(live, [f"/{login}/stor/in"] * TASKS)
        await supervisor.end_input(live)
        self.jobs.append((login, job))
        self.node.jobs.append(job)

    # The hostile side.

    def valid(self, kind: str) -> dict[str, Any]:
        """A message that fits the protocol; whose leases and blobs it speaks of is another matter."""
        die, node = self.die, self.node
        agent: dict[str, Any] = {"agent": node.agent if die.random() < 0.9 else die.randrange(1, 50)}
        if kind in ("poll", "report"):
            agent |= {"state": self.state()}
        messages: dict[str, Callable[[], dict[str, Any]]] = {
            "register": self.registration,
            "poll": lambda: agent,
            "report": lambda: agent | {"attempts": [self.attempt() for _ in range(die.randrange(1, 4))]},
            "beat": lambda: agent | {"leaves": die.random() < 0.1},
            "sweep": lambda: agent | {"blobs": [self.blob() for _ in range(die.randrange(5))]},
            "check": lambda: {"job": self.job(), "name": self.name(), "parents": die.random() < 0.5},
            "adopt": lambda: {"job": self.job(), "name": self.name(), "blob": self.claim()},
            "supervisors": dict,
            "answer": lambda: agent | {"answer": self.answer_about_a_task()},
        }
        return messages[kind]()

    def answer_about_a_task(self) -> dict[str, Any]:
        """An answer to a request that was hardly ever made."""
        about = self.die.choice([{"data": "c28gZmFy"}, {"refused": "not now"}, {"lost": True}, {}])
        return {"number": self.die.randrange(5), **about}

    def registration(self) -> dict[str, Any]:
        return {
            "version": wire.VERSION,
            "node": "evil",
            "slots": self.die.randrange(5),
            "memory_mb": self.die.choice([0, 4096, 4096]),
            "provider": "none",
            "serves": "http://127.0.0.1:1",
            "tickets": "key",
        }

    def state(self) -> dict[str, Any]:
        return {
            "seen": self.node.seen if self.die.random() < 0.8 else self.die.randrange(50),
            "pools": [self.pool() for _ in range(self.die.randrange(3))],
            "feeds": [self.feed() for _ in range(self.die.randrange(2))],
        }

    def attempt(self) -> dict[str, Any]:
        die = self.die
        task, attempt = die.choice(self.node.leases) if self.node.leases and die.random() < 0.3 else (self.task(), 1)
        outcome = die.choice(["ok", "ok", "failed", "lost"])
        told: dict[str, Any] = {"task": task, "attempt": attempt + die.choice([0, 0, 0, 1, -1]), "outcome": outcome}
        told["outputs"] = [self.output() for _ in range(die.randrange(3))]
        if outcome == "failed":
            told |= {"code": "UserTaskError", "message": "it says so"}
            told["stderr"] = {"name": self.name(), "blob": self.claim()}
        if outcome == "lost":
            told["missing"] = [self.blob()]
        return told

    def output(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name(), "named": self.die.random() < 0.7}
        return told | ({"blob": self.claim()} if self.die.random() < 0.8 else {})

    def claim(self) -> dict[str, Any]:
        die = self.die
        told: dict[str, Any] = {"id": self.blob(), "size": die.choice([0, 1, 6, 13, 41]), "md5": md5_of(b"x")}
        return told | ({"node": die.choice(["evil", "honest"])} if die.random() < 0.2 else {})

    def blob(self) -> str:
        return self.die.choice(self.node.blobs) if self.die.random() < 0.8 else new_id()

    def job(self) -> str:
        return self.die.choice(self.node.jobs[-5:]) if self.node.jobs else new_id()

    def task(self) -> int:
        newest = max(self.honest, default=1)
        return self.die.randrange(max(1, newest - 60), newest + 60)

    def name(self) -> str:
        login = self.die.choice(["jill", "bob"])
        evil = f"/{login}/stor/evil{self.die.randrange(9)}"  # which a task of this tenant's may write
        return self.die.choice([evil, evil, "/carol/stor/private0", "/carol/stor/evil", f"/{login}/stor", f"/{login}"])

    def pool(self) -> dict[str, Any]:
        known = self.node.pools and self.die.random() < 0.5
        pool = self.die.choice(self.node.pools) if known else self.die.randrange(1, 300)
        return {"pool": pool, "instances": self.die.randrange(3), "room": self.die.randrange(-2, 9)}

    def feed(self) -> dict[str, Any]:
        return {"task": self.task(), "attempt": 1, "after": self.die.randrange(3), "room": self.die.randrange(9)}

    def message(self) -> tuple[str, bytes]:
        die = self.die
        kind, other = die.choices(list(KINDS), list(KINDS.values()), k=2)
        drawn = die.random()
        if drawn < 0.05:
            return kind, die.choice(BROKEN)
        valid = self.valid(kind if drawn < 0.95 else other)
        for _ in range(die.choice([0, 0, 0, 1, 1, 2, 5])):
            valid = self.mutated(valid)
        body = json.dumps(valid).encode()
        return kind, body[: die.randrange(len(body))] if drawn < 0.07 else body

    def mutated(self, value: Any) -> Any:
        """The same with one thing in it changed, at any depth."""
        die = self.die
        if isinstance(value, dict) and value and die.random() < 0.9:
            key = die.choice(list(value))
            if die.random() < 0.1:
                return {name: each for name, each in value.items() if name != key}
            return value | {key: self.mutated(value[key])}
        if isinstance(value, list) and value and die.random() < 0.8:
            at = die.randrange(len(value))
            return [*value[:at], self.mutated(value[at]), *value[at:]]
        return die.choice([die.choice(INTEGERS), die.choice(TEXTS), None, True, 0.5, [], {}, [value] * 3, {"x": value}])

    async def say(self, http: aiohttp.ClientSession, kind: str, body: bytes) -> None:
        proof = issue(self.gateway.context.agent_secret, "evil")
        try:
            url, headers = f"{self.gateway.url}/_agent/v1/{kind}", {"Authorization": f"Bearer {proof}"}
            async with http.post(url, data=body, headers=headers) as reply:
                answer = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.faults.append(f"{kind}: no answer: {error!r} to {body[:500]!r}")
            return
        self.answers[kind, reply.status] += 1
        if reply.status >= 500:
            self.faults.append(f"{kind}: {reply.status} to {body[:2000]!r}: {answer[:300]!r}")
        elif reply.status == 200:
            self.learn(kind, json.loads(answer))

    def learn(self, kind: str, said: dict[str, Any]) -> None:
        node = self.node
        if kind == "register":
            node.agent, node.seen, node.leases = said["agent"], 0, []
        elif kind == "poll":
            node.seen = said["number"]
            for grant in said.get("pools", ()):
                node.pools.append(grant["pool"])
                node.jobs += [grant["spec"]["job"]] if "spec" in grant else []
                for task in grant["tasks"]:
                    node.leases.append((task["task"], task["attempt"]))
                    self.had.add(task["task"])
                    node.blobs += [task["blob"]["id"]] if "blob" in task else []

    # The run.

    async def run(self, messages: int) -> None:
        """Send so many, with jobs running beside, and let the jobs end."""
        await self.prepare()
        agent = InstantAgent(self.gateway.supervisor, answer=self.answer, node="honest", slots=2)
        helpers = [asyncio.create_task(agent.run()), asyncio.create_task(self.watch())]
        await agent.registered.wait()
        left = iter(range(messages))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
            await self.say(http, "register", json.dumps(self.valid("register")).encode())
            await asyncio.gather(*(self.work(http, left) for _ in range(WORKERS)))
            await self.say(http, "beat", json.dumps({"agent": self.node.agent, "leaves": True}).encode())
        try:
            await self.ended(helpers[0])
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def work(self, http: aiohttp.ClientSession, left: Any) -> None:
        for number in left:
            if number % CHECK_EVERY == 0:
                await self.new_job()
            await self.say(http, *self.message())

    async def watch(self) -> None:
        """How long the loop stands still: computing, or waiting for anything but its turn on a processor."""
        while True:
            began, delayed = time.monotonic(), run_delay()
            await asyncio.sleep(0.05)
            stood = time.monotonic() - began - 0.05 - (run_delay() - delayed)
            self.worst_stall = max(self.worst_stall, stood)

    async def ended(self, agent: asyncio.Task[None]) -> None:
        def all_done() -> bool:
            if agent.done():
                agent.result()
            return not any(self.gateway.supervisor.jobs.by_uuid(job) for _, job in self.jobs)

        await eventually(all_done, "all jobs have ended", 300)

    # What must hold.

    async def check(self) -> list[str]:
        """What does not hold, a sentence each."""
        found = list(self.faults)
        if self.worst_stall > MAX_STALL:
            found.append(f"the event loop stood still for {self.worst_stall:.2f} s")
        found += await self.gateway.context.db.read(self.wrong_records)
        found += [f"{path} is not what it was" for path, data in self.kept.items() if await self.content(path) != data]
        for place in (self.directory, self.directory.parent, self.gateway.context.blobs.root):
            if (place / "victim").read_text() != "untouched":
                found.append(f"{place}/victim was changed")
        if not self.gateway.context.blobs.path(self.uploading).exists():
            found.append("a blob that was being written is gone")
        for task, (_, name, data) in self.honest.items():
            if task not in self.had and await self.content(name) != data:
                found.append(f"{name}, the output of task {task}, is not what the task wrote")
        return found

    async def content(self, path: str) -> bytes | None:
        directory, _, name = path.rpartition("/")
        entry = await self.gateway.context.db.read(select("find_entry", dir=directory, name=name))
        with contextlib.suppress(FileNotFoundError):
            return self.gateway.context.blobs.path(entry[0]["etag"]).read_bytes() if entry else None
        return None

    def wrong_records(self, c: Connection) -> list[str]:
        found = []
        owner: dict[str, str] = {}
        for row in c.plain("SELECT dir, name, etag, size FROM entries WHERE kind = 'o'"):
            path = f"{row['dir']}/{row['name']}"
            if not is_id(row["etag"]):
                found.append(f"{path} has the blob {row['etag']!r}")
            if row["size"] and owner.setdefault(row["etag"], path) != path:
                found.append(f"{path} has the blob of {owner[row['etag']]}")
            if path.startswith("/carol/") and path not in self.kept:
                found.append(f"{path} was written")
        for row in c.plain("SELECT id FROM tasks WHERE state = 'committed'"):
            if row["id"] not in self.had and row["id"] not in self.honest:
                found.append(f"task {row['id']} is committed, and no node was leased it")
        return found


@contextlib.asynccontextmanager
async def fuzzing(directory: Path, seed: int) -> AsyncIterator[Fuzz]:
    """A gateway with a supervisor; polls hang but briefly."""
    seconds, service.POLL_SECONDS = service.POLL_SECONDS, 0.02
    state = directory / "state"
    state.mkdir()
    try:
        async with running_jobs(state) as gateway:
            yield Fuzz(gateway, state, seed)
    finally:
        service.POLL_SECONDS = seconds
