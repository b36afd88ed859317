"""Where a session is: in a task of a job of its own, or beside a task that runs already, in its instance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from cli.client.jobs import Jobs
from cli.client.problem import Problem
from cli.terminal.screen import Screen
from scheduler.model.naming import SESSION_EXEC, SESSION_PROGRAM


class NotBegunError(Exception):
    """A session beside a task has not begun, with the reason: there may be one elsewhere."""


class Place(Protocol):
    """The place of a session. `job` is the job's id, `cwd` where the program starts, `query` what the master adds."""

    job: str
    cwd: str

    @property
    def query(self) -> Mapping[str, str]: ...
    def begin(self, screen: Screen) -> None:
        """Make the place. Raises `Problem`."""

    def feed(self) -> None:
        """Have the program started, as far as that is the user's part: this end is there now."""

    def closed(self, why: str) -> None:
        """The service has closed the session before the program came. Raises NotBegunError if it may be elsewhere."""

    def over(self) -> list[str] | None:
        """If nothing can come of the session any more, why."""

    def give_up(self, screen: Screen) -> None:
        """Leave the place, whose program has not ended."""


@dataclass
class OwnJob:
    """A task of a job that is nothing but the session: a map task on an object, or a reduce task without input.

    `properties` are of the job's phase.
    """

    mine: Jobs
    input: str | None
    properties: Mapping[str, Any]
    assets: Sequence[str]
    job: str = ""
    cwd: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)

    def begin(self, screen: Screen) -> None:
        self.job = self.mine.create(self.document())
        screen.say(f"created interactive job -- {self.job}")

    def document(self) -> bytes:
        """The job, as JSON."""
        phase = {
            "exec": SESSION_EXEC,
            "type": "map" if self.input else "reduce",
            "assets": [SESSION_PROGRAM, *self.assets],
            **self.properties,
        }
        return json.dumps({"name": "interactive compute job", "phases": [phase]}).encode()

    def feed(self) -> None:
        """Give the job its input. The task may begin only now, since its program needs the user's end to be there."""
        if self.input:
            self.mine.add_inputs(self.job, [self.input.encode()])
        self.mine.end_input(self.job)

    def closed(self, _why: str) -> None:
        return

    def over(self) -> list[str] | None:
        if self.mine.status(self.job)["state"] != "done":
            return None
        errors = [json.loads(line) for line in self.mine.records(self.job, "err")]
        head = "Error during job run; please check errors." if errors else 'Job is now "done"'
        return [head, *(f"IN-JOB ERROR: {error.get('code')}: {error.get('message')}" for error in errors)]

    def give_up(self, screen: Screen) -> None:
        """Cancel the job, while the user's end is there: without it the task would end by itself, as a success."""
        screen.say("cleaning up resources...")
        with suppress(Problem):
            self.mine.cancel(self.job)


@dataclass
class BesideTask:
    """The instance of a task that runs. The task is none of the session's: whatever ends that, the task goes on."""

    job: str
    number: int  # of the task
    cwd: str = "."  # where the task has begun

    @property
    def query(self) -> Mapping[str, str]:
        return {"task": str(self.number)}

    def begin(self, screen: Screen) -> None:
        screen.say("logging in beside the running task: in its instance, until it ends")

    def feed(self) -> None:
        return

    def closed(self, why: str) -> None:
        raise NotBegunError(why)

    def over(self) -> None:
        return

    def give_up(self, _screen: Screen) -> None:
        return
