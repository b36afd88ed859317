"""Readers of a target while 100,000 parts of it are published: each answer is all old or all new.

    python tests/stress/read_publication.py [--parts 100000] [--readers 5] [--seed N]

A set of so many parts is replaced by as many others, by a merge that links its inputs. Meanwhile readers ask, again and
again, for pages of the set at random places and for single parts. Every page must have parts of one set only, and its
directory as many entries; and who has once seen the new set must never see the old one again.

Exit status 0 if that held. Prints how many answers there were, and how long readers waited at most.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.client import objects
from cli.client.session import Session
from tests.support.services.objects import client, put_many
from tests.support.services.service import Service
from tests.support.services.user import User

DISTINCT = 2_000  # objects of each kind: a set links each of them many times
OLD, NEW = b"old", b"newer"
WAIT_SECONDS = 600


@dataclass
class Seen:
    """What one reader has seen. `wrong`: the first answer that is neither old nor new."""

    old: int = 0
    new: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, sizes: set[int]) -> None:
        if len(sizes) > 1:
            self.wrong.append("an answer mixes both sets")
        elif sizes == {len(NEW)}:
            self.new += 1
        elif self.new:
            self.wrong.append("the old set is back")
        else:
            self.old += 1


def read(service: Service, path: str, parts: int, chance: random.Random, seen: Seen, over: threading.Event) -> None:
    """Ask until all is over, or an answer is wrong. In a thread."""
    with client(service) as session:
        while not (seen.wrong or (over.is_set() and seen.new)):
            name = f"part-{chance.randrange(parts):06}"
            asked = time.monotonic()
            if chance.random() < 0.5:
                query = {"limit": "1000", "marker": name}
                seen.add({int(entry["size"]) for entry in objects.page(session, path, query)})
            else:
                seen.add({len(session.call("GET", f"{path}/{name}").content)})
            seen.longest = max(seen.longest, time.monotonic() - asked)


def link(session: Session, source: str, target: str, parts: int) -> tuple[str, float]:
    """Replace the target by links to the objects of a directory; the job and the seconds that it took."""
    user = User(session)
    user.patience = WAIT_SECONDS
    inputs = [f"{source}/"] * (parts // DISTINCT)
    document = {"type": "merge", "inputs": inputs, "output": {"path": f"{target}/", "mode": "replace"}}
    started = time.monotonic()
    job = user.jobs.create(json.dumps(document).encode())
    status = user.wait(job, lambda seen: seen["state"] == "done")
    assert status["status"] == "completed", status
    return job, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    told = parser.parse_args()
    print(f"seed {told.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "state").start()
        try:
            seen = publish(service, told.parts, told.readers, random.Random(told.seed))
        finally:
            service.stop()
    wrong = [sentence for each in seen for sentence in each.wrong]
    counts = f"{sum(each.old for each in seen)} answers of the old set, {sum(each.new for each in seen)} of the new"
    print(f"{counts}, the longest took {max(each.longest for each in seen):.2f} s; {wrong or 'all right'}")
    return int(bool(wrong) or not all(each.old and each.new for each in seen))


def publish(service: Service, parts: int, readers: int, chance: random.Random) -> list[Seen]:
    with client(service) as session:
        stor = f"/{session.settings.account}/stor"
        for name, data in (("old", OLD), ("new", NEW)):
            objects.make_directory(session, f"{stor}/{name}")
            put_many(session, {f"{stor}/{name}/{number:06}": data for number in range(DISTINCT)})
        print(f"the old set was published in {link(session, f'{stor}/old', f'{stor}/set', parts)[1]:.1f} s", flush=True)
        over, seen = threading.Event(), [Seen() for _ in range(readers)]
        threads = [
            threading.Thread(
                target=read, args=(service, f"{stor}/set", parts, random.Random(chance.random()), each, over)
            )
            for each in seen
        ]
        for thread in threads:
            thread.start()
        try:
            print(f"the new one in {link(session, f'{stor}/new', f'{stor}/set', parts)[1]:.1f} s", flush=True)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        info = objects.info(session, f"{stor}/set")
        assert int(info.headers["result-set-size"]) == parts, info.headers
    return seen


if __name__ == "__main__":
    sys.exit(main())
