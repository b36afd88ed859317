"""The context that all pools of one agent share: the stores, the provider, the client.

`AgentContext` decides nothing, except for two things that concern all pools alike: the numbers of
attempts, and the hand-over of finished ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import Client
from scheduler.agent.log import Log
from scheduler.agent.slots.slots import Slots
from scheduler.agent.task_api.endpoint import Endpoints
from scheduler.model.wire import AttemptId, AttemptReport
from scheduler.providers import Provider

if TYPE_CHECKING:
    from scheduler.agent.pools.caps.disk_pressure import (
        Pressure,  # an import at runtime would be a circle: `disk_pressure` imports `worker`
    )


@dataclass(slots=True)
class AgentContext:
    """The context that all pools of an agent share."""

    stores: Stores
    provider: Provider
    client: Client
    endpoints: Endpoints
    log: Log
    finished: Callable[[AttemptReport], None]  # hand a report in
    changed: Callable[[], None]  # the state has changed, though no attempt ended
    slots: Slots
    pressure: Pressure
    # a job waits for the attempts that have ended: their reports must not be held back
    hurry: Callable[[], None] = lambda: None
    began: Callable[[AttemptId], None] = lambda _: None  # the command of an operation's attempt has run for a moment
    attempts: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
