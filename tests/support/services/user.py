"""A user of a running service, who stores objects and runs jobs from within this process.

    ended = user.run("wc", reduce("sort"), inputs=[user.put("a", b"x")])
    ended.errors, user.texts(ended)

Names without a slash at the front are below the user's `stor`. A phase is a map's command, or
a dictionary as the API has it. All waiting is for the service to say that something changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cli.client.jobs import Jobs
from cli.client.session import Session
from tests.support.eventually import PATIENCE_SECONDS

Phase = str | dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """A job that is done: its last status and its lists."""

    login: str
    job: str
    status: dict[str, Any]
    outputs: list[str]
    errors: list[dict[str, Any]]
    failures: list[str]

    @property
    def stats(self) -> dict[str, int]:
        return self.status["stats"]

    @property
    def error(self) -> dict[str, Any]:
        """The only error; there must be one."""
        assert len(self.errors) == 1, self.errors
        return self.errors[0]

    @property
    def stor(self) -> str:
        """The directory below which everything lies that the job made."""
        return f"/{self.login}/jobs/{self.job}/stor"


def reduce(command: str, **more: Any) -> dict[str, Any]:
    return {"type": "reduce", "exec": command, **more}


class User:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.patience = PATIENCE_SECONDS
        self.jobs = Jobs(session)
        self.login = session.settings.account

    def path(self, name: str) -> str:
        return name if name.startswith("/") else f"/{self.login}/stor/{name}"

    def put(self, name: str, data: bytes = b"") -> str:
        """Store an object; its full name."""
        self.session.call("PUT", self.path(name), body=data)
        return self.path(name)

    def get(self, name: str) -> bytes:
        return self.session.call("GET", self.path(name)).content

    def exists(self, name: str) -> bool:
        with self.session.exchange("HEAD", self.path(name)) as reply:
            return reply.status_code == 200

    def texts(self, ended: Ended) -> list[str]:
        """The outputs of a job, sorted: order between tasks means nothing."""
        return sorted(self.get(name).decode() for name in ended.outputs)

    def create(self, *phases: Phase, **more: Any) -> str:
        """Create a job, its input open; its id."""
        spelled = [{"exec": phase} if isinstance(phase, str) else phase for phase in phases]
        return self.jobs.create(json.dumps({"phases": spelled, **more}).encode())

    def add(self, job: str, *inputs: str) -> None:
        self.jobs.add_inputs(job, [name.encode() for name in inputs])

    def run(self, *phases: Phase, inputs: Iterable[str] = ()) -> Ended:
        """Run a job from its creation to its end."""
        job = self.create(*phases)
        if names := list(inputs):
            self.add(job, *names)
        return self.finish(job)

    def finish(self, job: str) -> Ended:
        """End a job's input, and wait until it is done."""
        self.jobs.end_input(job)
        return self.ended(job)

    def ended(self, job: str) -> Ended:
        status = self.wait(job, lambda status: status["state"] == "done")
        outputs, failures = (self.lines(job, kind) for kind in ("out", "fail"))
        errors = [json.loads(line) for line in self.lines(job, "err")]
        return Ended(self.login, job, status, outputs, errors, failures)

    def wait(self, job: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the status is as wanted; that status."""
        deadline = time.monotonic() + self.patience
        status = self.jobs.status(job)
        while not reached(status):
            assert time.monotonic() < deadline, f"waited in vain: {status}"
            status = self.jobs.status(job, wait=5)
        return status

    def lines(self, job: str, kind: str) -> list[str]:
        """All of a live list."""
        return [line.decode() for line in self.jobs.records(job, kind)]
