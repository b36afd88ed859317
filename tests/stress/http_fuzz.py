"""Hostile requests, as many as one likes, against a running service: no crash, no leak, always a good reply.

    python tests/stress/http_fuzz.py [--examples 100000] [--seed N] [--only NAME] [--batch 500]

Drives the properties of `tests/property/test_http_properties.py` in turns, with fresh examples, at
both of a service's HTTP surfaces (its own port, and a task's endpoint) and at a task's socket. Found
failures are shrunk and printed; they belong into that test as an `@example`. At the end the service
must still work, its log may hold no traceback, and its processes no more descriptors than after the
first round, and little more memory.

Exit status 0 if all that held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.hostile import requests, world
from tests.support.hostile.world import World
from tests.support.services.objects import client
from tests.support.services.service import Service, agents_below

# Memory that a process may have grown by since the first round, in MiB: caches fill, and jobs are remembered.
MAX_GROWTH = 96
MAX_DESCRIPTORS = 16
SETTLE_SECONDS = 60
METHODS = st.sampled_from(["GET", "HEAD", "POST", "POST", "PUT", "DELETE"])
PROPERTIES: dict[str, tuple[st.SearchStrategy[Any], Callable[[World, Any], object]]] = {
    "request": (requests.REQUESTS, World.request),
    "raw": (requests.RAW, World.raw),
    "foreign": (st.tuples(METHODS, requests.FOREIGN_TARGETS), lambda at, drawn: at.foreign(*drawn)),
    "stranger": (requests.REQUESTS, World.stranger),
    "forged": (requests.FORGERIES, World.forged),
    "document": (requests.JOB_BODIES, World.document),
    "live": (st.tuples(METHODS, requests.LIVE, requests.INPUT_BODIES), lambda at, drawn: at.live(*drawn)),
    "inside": (requests.REQUESTS, World.inside),
    "packets": (requests.CONVERSATIONS, World.packets),
}


@dataclass
class Usage:
    """Descriptors and resident memory (KiB) of one process."""

    name: str
    descriptors: int
    memory: int

    @classmethod
    def of(cls, name: str, pid: int) -> Usage:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(name, len(os.listdir(f"/proc/{pid}/fd")), pages * os.sysconf("SC_PAGE_SIZE") // 1024)

    def __str__(self) -> str:
        return f"{self.name}: {self.descriptors} descriptors, {self.memory / 1024:.1f} MiB"


def usage(service: Service) -> list[Usage]:
    """Of the service and of its agent."""
    assert service.process is not None
    agent = agents_below(service.process.pid)[0]
    return [Usage.of("service", service.process.pid), Usage.of("agent", agent)]


def settle(service: Service) -> None:
    """Wait until the last instance is gone: each has descriptors of its own, and they come and go."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while os.listdir(service.state_dir / "instances") and time.monotonic() < deadline:
        time.sleep(0.1)


def drive(at: World, name: str, examples: int, number: int) -> str | None:
    """Some examples of one property; the report of a failure."""
    strategy, act = PROPERTIES[name]

    @seed(number)
    @settings(
        max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False,
        phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(strategy)
    def run(drawn: Any) -> None:
        act(at, drawn)

    try:
        run()
    except Exception as failure:
        return "\n".join([f"{name}:", *explain(failure)])
    return None


def explain(failure: BaseException) -> list[str]:
    """What failed with which example, without hypothesis' own calls; of several failures each."""
    if isinstance(failure, BaseExceptionGroup):
        return [line for one in failure.exceptions for line in explain(one)]
    return [f"{type(failure).__name__}: {failure}", *getattr(failure, "__notes__", [])]


def fuzz(service: Service, options: argparse.Namespace) -> list[str]:
    """All rounds; what went wrong."""
    draw = random.Random(options.seed)
    names = [options.only] if options.only else list(PROPERTIES)
    failures: list[str] = []
    done: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    before: list[Usage] = []
    started = time.monotonic()
    while sum(done.values()) < options.examples:
        with client(service) as session, World(service, session) as at:
            for name in names:
                failure = drive(at, name, options.batch, draw.randrange(1 << 32))
                done[name] += options.batch
                if failure:
                    print(failure, flush=True)
                    failures.append(failure)
        statuses.update(at.statuses)
        settle(service)
        now = usage(service)
        before = before or now
        seconds = time.monotonic() - started
        print(f"{sum(done.values())} examples in {seconds:.0f} s; {'; '.join(map(str, now))}", flush=True)
    print(f"examples {dict(done)}; statuses {dict(sorted(statuses.items()))}")
    return failures + grown(before, usage(service))


def grown(before: list[Usage], after: list[Usage]) -> list[str]:
    found = []
    for old, new in zip(before, after, strict=True):
        if new.descriptors - old.descriptors > MAX_DESCRIPTORS or new.memory - old.memory > MAX_GROWTH * 1024:
            found.append(f"grown from {old} to {new}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500, help="examples of a property per round")
    parser.add_argument("--only", choices=PROPERTIES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        service = world.start(Path(directory) / "state")
        try:
            failures = fuzz(service, options)
        finally:
            status = service.stop()
        log = service.log.read_text()
        failures += [f"the service ended with {status}"] if status else []
        failures += [line for line in log.splitlines() if '"level": "error"' in line or "Traceback" in line][:5]
    print(*[failure.splitlines()[0] for failure in failures], sep="\n")
    print(f"{len(failures)} failures" if failures else "every reply good, nothing leaked")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
