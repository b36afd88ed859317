"""The interface through which the doors of an instance see the worker behind them.

`tools` and `endpoint` answer requests of tasks, and for that they need to know which task runs,
and where its outputs go. The worker opens the doors and therefore knows them; this interface is
all that they know of the worker.
"""

from __future__ import annotations

from typing import Protocol

from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client
from scheduler.agent.log import Log
from scheduler.model.errors import WireError
from scheduler.model.wire import PoolSpec
from scheduler.providers import Instance


class TaskHost(Protocol):
    """An instance with or without a running task."""

    @property
    def instance(self) -> Instance: ...
    @property
    def spec(self) -> PoolSpec: ...
    @property
    def stores(self) -> Stores: ...
    @property
    def client(self) -> Client: ...
    @property
    def log(self) -> Log: ...

    @property
    def alive(self) -> bool:
        """Whether the lackey still lives."""

    def running(self) -> Attempt | None:
        """The attempt that runs now, a task or the init script: every request from inside belongs to it."""

    def current(self) -> Attempt | None:
        """The task that runs now. An init script is none: it may read, and emits nothing."""


def unavailable() -> WireError:
    return WireError(503, "ServiceUnavailable", "the service does not answer, try again")


def no_task() -> WireError:
    return WireError(409, "ConflictError", "invalid zone state")
