"""What everything in one agent shares, and the two places where all attempts pass.

`Node` is a bundle of what was opened once: the stores, the provider, the client. No
decision lives here, except two that concern all pools alike: the numbers of attempts, and
what becomes of a finished one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scheduler.agent.client import Client
from scheduler.agent.endpoint import Endpoints
from scheduler.agent.log import Log
from scheduler.agent.slots import Slots
from scheduler.agent.stores import Stores
from scheduler.model.wire import AttemptReport
from scheduler.providers import Provider

if TYPE_CHECKING:
    from scheduler.agent.pressure import Pressure  # which looks at what shares a node


@dataclass(slots=True)
class Node:
    """Shared by all pools of an agent."""

    stores: Stores
    provider: Provider
    client: Client
    endpoints: Endpoints
    log: Log
    finished: Callable[[AttemptReport], None]  # hand a report in
    changed: Callable[[], None]  # the state is worth telling, though no attempt ended
    slots: Slots
    pressure: Pressure
    hurry: Callable[[], None] = lambda: None  # what has ended is waited for: its report is not to be held back
    attempts: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
