"""The time of a one-object job, for scripts that load a service meanwhile."""

from __future__ import annotations

import statistics
import time

from tests.support.services.user import User


def seconds_of_a_job(user: User, name: str) -> float:
    """Run `cat` on one object, and return how long that took."""
    began = time.perf_counter()
    ended = user.run("cat", inputs=[name])
    took = time.perf_counter() - began
    assert not ended.errors, ended.errors
    assert user.texts(ended) == ["fine\n"], ended
    return took


def measure(user: User, name: str, rounds: int) -> list[float]:
    """Return the times of several jobs, in ms, the shortest first."""
    return sorted(seconds_of_a_job(user, name) * 1000 for _ in range(rounds))


def tell(what: str, took: list[float]) -> float:
    """Print median, ninth decile and maximum; return the median."""
    middle = statistics.median(took)
    print(f"{what:28}{middle:9.1f} {took[len(took) * 9 // 10]:13.1f} {took[-1]:10.1f} ms", flush=True)
    return middle
