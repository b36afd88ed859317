"""Ports of a supervisor: what the process that it runs in provides.

A supervisor keeps no metrics, reads no clock of its own, and does not know whether an agent should run on its machine.
The process that makes it (`service.parts`) provides these.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def count_nothing(what: str, count: int) -> None:
    """A port for metrics that are not kept."""


def count_no_job(_: str) -> None:
    """Count nothing."""


def no_reason() -> str | None:
    """A port for a machine where no agent is expected."""
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one supervisor.

    The defaults are those of a test: real clock, no metrics, no agent on this machine.
    """

    count_outcome: Callable[[str, int], None] = count_nothing  # tasks, by how they ended
    count_job: Callable[[str], None] = count_no_job  # jobs that were archived: "done", "errors" or "cancelled"
    count_placed: Callable[[str, int], None] = count_nothing  # map tasks with an intermediate: "local" or "remote"
    why_no_agent: Callable[[], str | None] = no_reason  # why this machine's agent is not registered, if that is known
    monotonic: Callable[[], float] = time.monotonic  # seconds


DEFAULT = Ports()
