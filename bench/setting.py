"""The setting of rows: a scratch directory, sizes, and one service that all rows share."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from cli.client.jobs import Jobs, Status
from cli.client.session import Session
from datapath.plain import plain_words
from tests.support.services import objects
from tests.support.services.service import Service, descendants

ROUNDS = 3
T = TypeVar("T")
# The environment of a task, and so of a peer too: a long PATH or a locale would make every `bash -c` slower.
PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "SHELL": "/bin/bash"}
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Setting:
    """The context manager of a run; the service that a row started ends with it."""

    scratch: Path
    smoke: bool = False
    options: tuple[str, ...] = ()  # of the service
    times: int = 1  # as much text as usual is sorted, in one round
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Setting:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def rounds(self) -> int:
        return 1 if self.smoke or self.times > 1 else ROUNDS

    def text_size(self, full: int, smoke: int) -> int:
        """Bytes of a text that is sorted."""
        return self.times * self.size(full, smoke)

    def size(self, full: T, smoke: T) -> T:
        return smoke if self.smoke else full

    def directory(self, name: str) -> Path:
        """A fresh directory."""
        path = self.scratch / name
        path.mkdir()
        return path

    @cached_property
    def service(self) -> Service:
        """A running service of our own, started for the first row that uses it."""
        service = Service(self.scratch / "state", self.options).start()
        self._stack.callback(service.stop)
        return service

    @cached_property
    def session(self) -> Session:
        """A client of the service, in this process, with persistent connections."""
        return self._stack.enter_context(objects.client(self.service))

    @property
    def home(self) -> str:
        return f"/{self.session.settings.account}/stor"

    @property
    def processes(self) -> dict[str, int]:
        """The process ids of the service itself and of its agent; instances are not included."""
        assert self.service.process is not None
        gateway = self.service.process.pid
        agents = [pid for pid in descendants(gateway) if b"scheduler.agent" in command_line(pid)]
        return {"service": gateway, "agent": agents[0]}

    def cpu(self) -> float:
        """CPU seconds of the service and its agent so far, in user and kernel, without instances."""
        return sum(cpu_seconds(pid) for pid in self.processes.values())


def described(script: str) -> str:
    """A script, and how instances run it, for the name of a line."""
    return f"{script} ({'by bash' if plain_words(script) is None else 'without bash'})"


def command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run_job(jobs: Jobs, document: bytes, inputs: Iterable[str]) -> tuple[str, Status]:
    """Submit a job with all its inputs and wait for its end; returns its id and last status. Raises if a task fails."""
    job = jobs.create(document)
    jobs.add_inputs(job, (name.encode() for name in inputs))
    jobs.end_input(job)
    status = jobs.wait(job)
    if status["stats"]["errors"]:
        raise RuntimeError(f"tasks of job {job} failed, the first one so: {jobs.first_error(job)}")
    return job, status


def lifetime(status: Status) -> float:
    """Seconds from a job's creation to its end, by the service's clock."""
    created, done = (datetime.fromisoformat(status[key]) for key in ("timeCreated", "timeDone"))
    return (done - created).total_seconds()


def words(size: int, seed: int = 1) -> bytes:
    """About `size` bytes of text: made-up words, some common and most rare, in lines of about sixty bytes."""
    chance = random.Random(seed)
    letters = "etaoinshrdlu"
    known = ["".join(chance.choices(letters, k=1 + min(n // 40, chance.randint(1, 9)))) for n in range(5000)]
    weights = [1 / (n + 1) for n in range(len(known))]
    page = " ".join(
        word + ("\n" if n % 10 == 9 else "")
        for n, word in enumerate(chance.choices(known, weights, k=min(200_000, size // 3 + 10)))
    ).encode()
    return (page * (size // len(page) + 1))[:size]
