"""Interactive sessions opened and closed, many at once, a third of them by force: nothing may be left.

    python tests/stress/sessions.py [--sessions 100] [--at-once 10] [--seed N]

A session ends in one of four ways: its user types exit; its client is killed; its network is cut, and then its client
killed, so that the service is never told; or the node's agent is killed, with all sessions that are open. Some are
beside a task of another job, and end with that. In the end no job may run, no configuration object be there, and, once
the service has stopped, no process, mount, control group, directory, or blob without a name. A table counts the ways,
and how the sessions ended.

Exit status 0 if all that held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.client.problem import Problem
from tests.support.eventually import eventually_here
from tests.support.leftovers import assert_nothing_left, unnamed_blobs
from tests.support.proxy import Proxy
from tests.support.services.objects import client
from tests.support.services.service import Service, descendants, processes_with
from tests.support.services.user import User
from tests.support.sessions import LOST, PROMPT, asked, ended, session

EXIT, CLIENT, NETWORK, AGENT, BESIDE = "exit", "client", "network", "agent", "beside"
WAYS = (EXIT, EXIT, CLIENT, EXIT, BESIDE, NETWORK, EXIT, EXIT, AGENT)
# A peer without a network is given up after two silences; an agent's successor registers in between.
SECONDS = 180.0


class Wires:
    """Proxies to the service, on an event loop of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self) -> Proxy:
        return asyncio.run_coroutine_threadsafe(Proxy(self._port).__aenter__(), self._loop).result(30)

    def cut(self, wire: Proxy) -> None:
        self._loop.call_soon_threadsafe(wire.cut)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    ways = [WAYS[number % len(WAYS)] for number in range(options.sessions)]
    random.Random(options.seed).shuffle(ways)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        service = Service(Path(directory) / "state", ("--slots", str(options.at_once))).start()
        try:
            results = run(service, ways, options.at_once)
            with client(service) as http:
                user = User(http)
                eventually_here(lambda: not list(user.jobs.listing("running")), "every job is done", SECONDS)
                user.run("true")  # by an agent that has removed what one killed at last has left
                assert service.text("mls", "~~/stor") == "", "objects are left"
        finally:
            service.stop()
        assert_nothing_left(service.state_dir)
        assert not unnamed_blobs(service.state_dir), "blobs are left"
    for (way, how), number in sorted(results.items()):
        print(f"{way:8} {how:24} {number:4}")
    print(f"{options.sessions} sessions, nothing left behind")
    return 0


def run(service: Service, ways: list[str], at_once: int) -> Counter[tuple[str, str]]:
    wires = Wires(int(service.url.rpartition(":")[2]))
    with ThreadPoolExecutor(at_once) as pool:
        return Counter(pool.map(lambda way: (way, one(service, wires, way)), ways))


def one(service: Service, wires: Wires, way: str) -> str:
    """One session; how it ended. One that shows no prompt must have been lost with the agent."""
    wire = wires.open()
    try:
        if way == BESIDE:
            return beside(service, at(service, wire.url))
        with session(at(service, wire.url), "mlogin") as running:
            running.read_until(PROMPT)
            assert asked(running, "echo $((6 * 7))") == "42\n"
            if way == EXIT:
                running.type("exit 7\r")
                status = ended(running)[1]
                assert status in (7, LOST), status
                return "its status" if status == 7 else "lost with the agent"
            if way == AGENT:
                kill_agent(service)
                assert ended(running)[1] == LOST
                return "lost with the agent"
            if way == NETWORK:
                wires.cut(wire)
            running.process.send_signal(signal.SIGKILL)
            return "killed"
    except AssertionError as error:
        if "did not come" not in str(error) or "the session is over" not in str(error):
            raise
        return "lost with the agent"


def beside(service: Service, env: SimpleNamespace) -> str:
    """A session beside a task, which is cancelled meanwhile; it ends with the task, or with the agent."""
    with client(service) as http:
        user = User(http)
        path = user.put(f"task-{Path(env.env['REMORA_STATE_DIR']).name}")
        job = user.create({"exec": "echo begun; sleep 3600", "memory": 256})
        try:
            user.add(job, path)
            task = eventually_here(lambda: begun(user, job), "the task has begun, or was given up", SECONDS)
            if task["state"] != "running":
                return "task lost thrice"
            with session(env, "mlogin", "--task", job, task["taskId"]) as running:
                if b"this is another instance" in running.read_until(PROMPT):
                    running.type("exit\r")
                    ended(running)
                    return "in another instance"
                user.jobs.cancel(job)
                shown, status = ended(running)
            assert status == LOST, shown
            return "with its task" if "the task has ended" in shown else "lost with the agent"
        finally:
            if user.jobs.status(job)["state"] == "running":
                user.jobs.cancel(job)
            http.call("DELETE", path)


def begun(user: User, job: str) -> dict[str, Any]:
    """The record of the job's task once it has printed, or has failed; nothing before."""
    with contextlib.suppress(Problem):  # its node may be gone for a moment
        for task in user.jobs.tasks(job):
            if task["state"] == "failed" or user.jobs.log(job, task["number"], "stdout", 0, 0).data:
                return task
    return {}


def at(service: Service, url: str) -> SimpleNamespace:
    """The environment of the service's own account, at another address of it."""
    home = service.state_dir.parent / url.rpartition(":")[2]
    home.mkdir()
    profile = json.loads((service.state_dir / "client.json").read_text())
    (home / "client.json").write_text(json.dumps(profile | {"url": url}))
    return SimpleNamespace(env=service.env | {"REMORA_STATE_DIR": str(home)})


def kill_agent(service: Service) -> None:
    assert service.process is not None
    for pid in set(processes_with("scheduler.agent")) & set(descendants(service.process.pid)):
        with contextlib.suppress(ProcessLookupError):  # another session has done it
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
