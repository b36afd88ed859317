"""Ports of a supervisor: what it is given of the process that it runs in.

A supervisor counts nothing, reads no clock but those it is given, and does not know whether an agent should run on its
machine. The process that makes it (`service.parts`) says so once, when it makes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def count_nothing(what: str, count: int) -> None:
    """A metric that is not kept."""


def no_reason() -> str | None:
    """No agent of this machine is expected."""
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """The defaults are those of a test: real clock, no metrics, no agent of this machine."""

    count_outcome: Callable[[str, int], None] = count_nothing  # tasks by how they ended
    count_placed: Callable[[str, int], None] = count_nothing  # map tasks with an intermediate: "local" or "remote"
    why_no_agent: Callable[[], str | None] = no_reason  # why this machine's agent is not here, as far as that is known
    monotonic: Callable[[], float] = time.monotonic  # seconds


DEFAULT = Ports()
