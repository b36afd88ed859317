"""Patience of a client that waits for a job: requests are repeated while the service does not answer.

A service is restarted at every deployment, and its jobs go on. So a client that only watches should outlive the
restart. A `Session` with a `Patience` repeats a request for up to `SECONDS`, more and more seldom, and says once that
it does so. What may be repeated depends on how the request ended:

- no connection could be made: the service has seen nothing, any request may be repeated;
- the connection broke, fell silent, or a proxy or a gateway that is starting answered 502, 503 or 504: the service may
  have seen the request, so only a GET or a HEAD is repeated.

Example: the service is away for 3 s. The request fails at 0 s, again at 0.5 s, 1.5 s, and is answered at 3.5 s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from cli.client.problem import Problem, Refused

T = TypeVar("T")
SECONDS = 60.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 4.0
REPEATABLE = ("GET", "HEAD")
STARTING = (502, 503, 504)


def may_be_repeated(problem: Problem, method: str) -> bool:
    """Whether the same request may succeed later, and does no harm if the service has seen it before."""
    if problem.name == "ConnectError":
        return True
    passing = problem.status in STARTING if isinstance(problem, Refused) else problem.name in BROKEN
    return passing and method in REPEATABLE


BROKEN = ("ConnectionError", "TimeoutError")


class Patience:
    """For any number of threads. `say` gets a sentence when the service is lost, and one when it is back."""

    def __init__(self, say: Callable[[str], None], seconds: float = SECONDS) -> None:
        self._say = say
        self._seconds = seconds
        self._lock = threading.Lock()
        self._lost = False

    def asked(self, method: str, ask: Callable[[], T], before_again: Callable[[], None] = lambda: None) -> T:
        """What `ask` returns, in the end. Raises its last `Problem` if the service stays away, or if it is final."""
        until, delay = None, FIRST_DELAY
        while True:
            try:
                answer = ask()
            except Problem as problem:
                now = time.monotonic()
                until = until or now + self._seconds
                if not may_be_repeated(problem, method) or now >= until:
                    raise
                self._tell(lost=True, sentence=f"{problem.message}; asking again for {self._seconds:.0f} s")
            else:
                if until:
                    self._tell(lost=False, sentence="the service answers again")
                return answer
            time.sleep(delay)
            before_again()
            delay = min(LONGEST_DELAY, delay * 2)

    def _tell(self, *, lost: bool, sentence: str) -> None:
        """Say it if that is news: several requests may wait at the same time."""
        with self._lock:
            news, self._lost = lost != self._lost, lost
        if news:
            self._say(sentence)
