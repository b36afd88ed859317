"""What everything in one agent shares, and the two places where all attempts pass.

`Node` is a bundle of what was opened once: the blob store, the provider, the client. No
decision lives here, except two that concern all pools alike: the numbers of attempts and
instances, and what becomes of a finished attempt.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from scheduler.agent.client import Client
from scheduler.agent.endpoint import Endpoints
from scheduler.agent.log import Log
from scheduler.model.wire import AttemptReport
from scheduler.objects.blobs import BlobStore
from scheduler.providers import Provider


class Numbers:
    """The smallest free numbers, from 0."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        heapq.heappush(self._free, number)


@dataclass(slots=True)
class Node:
    """Shared by all pools of an agent."""

    blobs: BlobStore
    provider: Provider
    client: Client
    endpoints: Endpoints
    log: Log
    finished: Callable[[AttemptReport], None]  # hand a report in
    changed: Callable[[], None]  # the state is worth telling, though no attempt ended
    attempts: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    instances: Numbers = field(default_factory=Numbers)
