"""Processes of a service that were frozen (SIGSTOP, a paused container, a suspended laptop) for longer than a lease.

The agent, the service's own process (gateway, supervisor, records), or all of it with the tasks: when it thaws, the job
goes on to the right answer, no task is blamed, and who watched goes on watching. An agent that is frozen alone is given
up, rightly: what it ran is run again. Here time really has to pass, since
what is tested is that it has; `test_absence.py` has the same decisions with a clock that a test moves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.model.wire import LEASE_SECONDS
from tests.support.gate import Gate
from tests.support.services.forks import start_command
from tests.support.services.objects import client
from tests.support.services.service import Service, agents_below, descendants, serving
from tests.support.services.user import User, reduce
from tests.support.variants import variants

LONG = LEASE_SECONDS + 4


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "state") as running:
        yield running


def processes(service: Service, who: str) -> list[int]:
    assert service.process
    own = service.process.pid
    return {"agent": agents_below(own), "service": [own]}.get(who) or [own, *descendants(own)]


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Some processes are frozen for the length of a block, or until this process is gone."""
    assert pids
    thaw = f"read -r _; kill -CONT {' '.join(map(str, pids))} 2>/dev/null"
    with subprocess.Popen(["sh", "-c", thaw], stdin=subprocess.PIPE, start_new_session=True):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # instances are made and end meanwhile
                os.kill(pid, signal.SIGSTOP)
        yield


@contextlib.contextmanager
def watching(service: Service, job: str) -> Iterator[subprocess.Popen[bytes]]:
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with start_command("mjob", "watch", job, env=service.env, **streams) as watcher:
        try:
            yield watcher
        finally:
            watcher.kill()


@pytest.mark.parametrize(("who", "most"), variants([("everything", 0), ("agent", 4), ("service", 0)]))
def test_what_was_frozen_goes_on_and_blames_no_task(service: Service, who: str, most: int) -> None:
    with contextlib.ExitStack() as stack:
        user = User(stack.enter_context(client(service)))
        with Gate() as gate:
            job = user.create(f"({gate.wait('run')}) 2>/dev/null; cat", reduce("sort"))
            user.add(job, *(user.put(f"{n}", f"{n}\n".encode()) for n in range(4)))
            gate.arrivals(1)
            watcher = stack.enter_context(watching(service, job))
            with frozen(processes(service, who)):
                time.sleep(LONG)
        ended = user.finish(job)
        assert (user.texts(ended), ended.errors) == (["0\n1\n2\n3\n"], [])
        assert ended.stats["retries"] <= most
        assert watcher.wait(60) == 0
