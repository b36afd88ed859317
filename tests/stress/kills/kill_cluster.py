"""Faults in a cluster of processes: each job must end with the outputs of an undisturbed one.

    python tests/stress/kills/kill_cluster.py --rounds 20 [--only owner] [--seed 1]

Two gateways, two supervisors, three agents, one PostgreSQL; no Nomad, no root. In each round a job of three phases
is under way when something is killed, stopped or restarted; whatever it was is started again afterwards. Prints a
line a round with the seconds until another supervisor owned the job, if its owner was hit, and until it ended.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.support.services.postgres import DURABLE, Postgres, server
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import User, reduce

INPUTS = 60
LINES = 50
ASLEEP_SECONDS = 8.0
TAKE_OVER_SECONDS = 60.0
EXPECTED = [[str(LINES), str(n)] for n in range(INPUTS)]


class Faults:
    """What can happen; each returns the seconds until another supervisor owned the job, or None."""

    def __init__(self, cluster: Cluster, postgres: Postgres, rng: random.Random) -> None:
        self.cluster = cluster
        self.postgres = postgres
        self.rng = rng

    def owner(self, job: str) -> float | None:
        """kill -9 of the supervisor that owns the job."""
        name = self._owner_of(job)
        self.cluster.parts[name].kill()
        seconds = self._until_owned(job, name)
        self.cluster.supervisor(name)
        return seconds

    def asleep(self, job: str) -> float | None:
        """The owner is stopped, and goes on when it has lost the job."""
        name = self._owner_of(job)
        with self.cluster.parts[name].asleep():
            return self._until_owned(job, name)

    def ended(self, job: str) -> float | None:
        """SIGTERM of the owner."""
        name = self._owner_of(job)
        self.cluster.parts[name].stop()
        seconds = self._until_owned(job, name)
        self.cluster.supervisor(name)
        return seconds

    def agent(self, job: str) -> None:
        """kill -9 of an agent with all that it runs; its intermediates stay, and it comes back at once."""
        name = self.rng.choice([name for name in self.cluster.parts if name.startswith("node")])
        self.cluster.parts[name].kill()
        self.cluster.agent(name)

    def node(self, job: str) -> None:
        """kill -9 of an agent that comes back after its lease: what it had made is made again."""
        name = self.rng.choice([name for name in self.cluster.parts if name.startswith("node")])
        self.cluster.parts[name].kill()
        time.sleep(12.0)
        self.cluster.agent(name)

    def database(self, job: str) -> None:
        """A restart of PostgreSQL."""
        self.postgres.restart()

    def crash(self, job: str) -> None:
        """PostgreSQL ends as in a power failure."""
        self.postgres.restart(signal.SIGQUIT)

    def _owner_of(self, job: str) -> str:
        while (name := self.cluster.owner(job)) is None:
            time.sleep(0.05)
        return name

    def _until_owned(self, job: str, other_than: str) -> float:
        hit = time.monotonic()
        while self.cluster.owner(job) in (None, other_than):
            if time.monotonic() - hit > TAKE_OVER_SECONDS:
                raise RuntimeError(f"nobody took over from {other_than}")
            time.sleep(0.05)
        return time.monotonic() - hit


KINDS = ("owner", "asleep", "ended", "agent", "node", "database", "crash")


def one(user: User, other: User, names: list[str], fault: Callable[[str], float | None], rng: random.Random) -> str:
    """A job with a fault in its middle; what came of it."""
    job = user.create("cat", "sleep 0.05; cat", reduce("sort -n | uniq -c"))
    other.add(job, *names[: INPUTS // 2])
    time.sleep(rng.uniform(0.1, 3.0))
    started = time.monotonic()
    owned = fault(job)
    other.add(job, *names[INPUTS // 2 :])
    ended = user.finish(job)
    lines = [line.split() for text in user.texts(ended) for line in text.splitlines()]
    right = (
        lines == EXPECTED and not ended.errors and ended.stats["tasks"] == ended.stats["tasksDone"] == 2 * INPUTS + 1
    )
    took = f"owned after {owned:4.1f} s, " if owned is not None else ""
    verdict = "right" if right else f"WRONG: {lines} {ended.errors} {ended.stats}"
    return f"{took}ended after {time.monotonic() - started:4.1f} s, retries {ended.stats['retries']}: {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=len(KINDS))
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    told = parser.parse_args()
    rng = random.Random(told.seed)
    print(f"seed {told.seed}", flush=True)
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as directory,
        server(DURABLE) as postgres,
        clustered(Path(directory), postgres, gateways=2, supervisors=2, nodes=3) as cluster,
        cluster.user("gateway0") as user,
        cluster.user("gateway1") as other,
    ):
        names = [user.put(f"x{n}", f"{n}\n".encode() * LINES) for n in range(INPUTS)]
        faults = Faults(cluster, postgres, rng)
        for number in range(told.rounds):
            kind = told.only or KINDS[number % len(KINDS)]
            line = one(user, other, names, getattr(faults, kind), rng)
            wrong += "WRONG" in line
            print(f"{number:3d} {kind:9s}{line}", flush=True)
    print(f"{wrong} of {told.rounds} jobs ended wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
