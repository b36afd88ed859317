"""Other jobs' tasks keep coming and going while an attack lasts.

An attack here does not end by itself: it goes on until its task has said at the gate that it
has begun, and the gate is opened. Meanwhile a neighbour's tasks are handed in one by one, each
waited for. How fast they are is measured by `tests/stress/pace.py`, of the same attacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.leftovers import assert_nothing_left
from tests.support.nodes.containers import CONTAINERD, assert_no_container_left, needs_containers
from tests.support.nodes.traces import assert_traces, traces
from tests.support.services.neighbour import neighbour
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import User

pytestmark = needs_containers

ROUNDS = 10
# Memory in MB, and a script.
LASTING = {
    "sleep": (256, "sleep 1000"),  # to compare with
    "busy loops": (256, "for i in {1..16}; do while :; do :; done & done"),
    "a fork bomb": (4096, "b() { b | b & }; b"),
    # More than four processes take: the kernel frees those that have ended late on a busy machine.
    "forks": (1024, "for i in {1..4}; do while :; do (:); done & done"),
    "1,000 daemons": (2048, "while :; do for i in {1..1000}; do setsid sleep 9 & done; kill -9 $(jobs -p); done"),
    "allocations": (256, "while :; do perl -e '$n = 1 << 34; $x = \"a\" x $n'; done"),
    "writes": (256, "cd /var/tmp; while :; do head -c 1G /dev/zero > x; rm x; done"),
    "small files": (256, "cd /var/tmp; while :; do for i in {1..2000}; do : > $i; done; rm -f [0-9]*; done"),
    "syncs": (256, "cd /var/tmp; while :; do echo x > x; sync; done"),
    "requests": (256, "while :; do mls ~~/stor > /dev/null; done"),
    "connections": (1024, "for i in {1..9}; do perl -MIO::Socket -e 'while (1) { @s = map { IO::Socket::INET->new("
                    "PeerAddr => \"127.0.0.1:80\", Timeout => 1) } 1 .. 900 }' & done"),
}  # fmt: skip


class Neighbours:
    """The service's own user, who attacks, and bob, whose job has short tasks."""

    def __init__(self, user: User, bob: User) -> None:
        self.user, self.bob = user, bob
        self.input, self.short = user.put("any", b"x\n"), bob.put("short", b"fine\n")
        self.job, self.done = bob.create("cat"), 0

    def attack(self, name: str, gate: Gate) -> str:
        """Returns the job's id when the attack has begun; it lasts until the gate is opened."""
        memory, script = LASTING[name]
        phase = {"exec": f"{{ {script}; }} 2> /dev/null & {gate.wait()}", "memory": memory, "disk": 2}
        job = self.user.create(phase)
        self.user.add(job, self.input)
        gate.arrivals(1)
        return job

    def one_task(self) -> None:
        """Of bob's, from its input to its end."""
        self.hand_in()
        self.bob.wait(self.job, lambda status: status["stats"]["tasksDone"] == self.done)

    def hand_in(self) -> None:
        self.bob.add(self.job, self.short)
        self.done += 1

    def is_done(self) -> bool:
        return self.bob.jobs.status(self.job)["stats"]["tasksDone"] == self.done


def neighbours(state: Path) -> Iterator[Neighbours]:
    """A service with two users; nothing of it is left at the end."""
    service = Service(state, ("--provider", CONTAINERD, "--slots", "4", "--prepared", "0")).start()
    try:
        with ExitStack() as stack:
            user, bob = User(stack.enter_context(client(service))), stack.enter_context(neighbour(service))
            before = traces(service.state_dir)
            both = Neighbours(user, bob)
            both.one_task()
            yield both
            ended = bob.finish(both.job)
            assert (ended.errors, ended.stats["retries"], len(ended.outputs)) == ([], 0, both.done)
            assert_traces(service.state_dir, before)
    finally:
        status = service.stop()
    assert status == 0, service.log.read_text()[-3000:]
    assert_nothing_left(service.state_dir)
    assert_no_container_left(service.state_dir)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    yield from neighbours(tmp_path_factory.mktemp("pace") / "state")


@pytest.mark.parametrize("name", LASTING)
def test_a_neighbours_tasks_come_and_go_while_an_attack_lasts(both: Neighbours, name: str) -> None:
    with Gate() as gate:
        job = both.attack(name, gate)
        for _ in range(ROUNDS):
            both.one_task()
        assert both.user.jobs.status(job)["stats"]["tasksDone"] == 0, both.user.jobs.first_error(job)
        gate.open()
        both.user.finish(job)
