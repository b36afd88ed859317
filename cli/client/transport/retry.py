"""Sending again: which failures are temporary, and how long a client waits for the service to come back.

Only what can be repeated without harm is sent through here: a file that can be read again, a question. Three kinds
of failure are told apart:

- The service cannot be reached although it answered a moment ago: it is being restarted. It is waited for,
  `AWAY_SECONDS` at most, however many attempts that takes.
- The connection broke, or the service answered with a status of 500 or more: `ATTEMPTS` attempts.
- Anything else is final, and so are a service that has never answered and one whose disk is full.

Example: the service is killed in the middle of a PUT and is up again after 4 s. The PUT breaks (attempt 1), finds the
port closed at 1 s and at 3 s, and is sent again whole at 7 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from cli.client.problem import Problem, Refused

if TYPE_CHECKING:
    from cli.client.session import Session

T = TypeVar("T")
ATTEMPTS = 4
AWAY_SECONDS = 30.0
FIRST_DELAY, LONGEST_DELAY = 1.0, 10.0
NO_SPACE = 507


class Patience:
    """How often one thing is tried. Tell it each failure; it says how long to wait, or that the failure is final."""

    def __init__(self) -> None:
        self._attempts = 0
        self._away_since: float | None = None
        self._delay = FIRST_DELAY

    def pause(self, error: Problem, now: float, *, reached: bool) -> float | None:
        """Seconds until the next attempt; None if there is to be none. `reached`: the service has answered before."""
        if error.name == "ConnectError":
            self._away_since = now if self._away_since is None else self._away_since
            if not reached or now - self._away_since > AWAY_SECONDS:
                return None
        else:
            self._away_since = None
            self._attempts += 1
            if self._attempts == ATTEMPTS or not is_temporary(error):
                return None
        delay, self._delay = self._delay, min(LONGEST_DELAY, self._delay * 2)
        return delay


def is_temporary(error: Problem) -> bool:
    if isinstance(error, Refused):
        return error.status >= 500 and error.status != NO_SPACE
    return error.name == "ConnectionError"


def again(session: Session, act: Callable[[], T]) -> T:
    """Do `act`, which may be repeated, until it succeeds or a failure is final. Raises that `Problem`."""
    patience = Patience()
    while True:
        try:
            return act()
        except Problem as error:
            delay = patience.pause(error, time.monotonic(), reached=session.reached)
            if delay is None:
                raise
        time.sleep(delay)
