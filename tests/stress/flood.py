"""One account's one-object job while another floods the service against its limits, in each way and in all: a table.

    python tests/stress/flood.py [--provider process] [--rounds 30] [--bar 2] [--floods jobs inputs bytes requests]

First bob's job is timed on a quiet service: created, given one object, its output read. Then mallory, whose account has
the limits below, sends without a pause

- jobs, each with an input, whose tasks go on for ten seconds;
- inputs, in bodies of thousands, to one job after the other, whose tasks take a second;
- bytes, objects of 4 MiB, and deletes one when she is refused;
- requests, for the status of an object, on 32 connections;

and bob's job is timed again during each flood, and during all four, and between the floods: each is compared with what
was before and after it, because other programs on this machine come and go. An account that floods has machines of its
own, and here there is one: so the flooding processes have what the service leaves of the processors (nice 19).

The exit status is 1 if a median is more than `--bar` times the quiet one, or if a job of bob's had an error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.client.problem import Refused
from tests.support.services.neighbour import neighbour
from tests.support.services.service import Service
from tests.support.services.user import User
from tests.support.timing.job_times import measure, tell

SLOTS = 4
LIMITS = ("jobs=20", "inputs=100000", "bytes=1G", "requests=200")
SECONDS = 900  # a flood ends by itself after so long, whatever becomes of us
TASK = "for i in {1..100}; do sleep 0.1; done"
JSON, LINES = "application/json", "text/plain"


class Peer:
    """One connection of a flooding client, and what it was answered."""

    def __init__(self, url: str, login: str, token: str, answers: Counter[int]) -> None:
        parts = urlsplit(url)
        self.login = login
        self._address = parts.hostname, parts.port
        self._head = f" HTTP/1.1\r\nHost: flood\r\nAuthorization: Token {token}\r\n"
        self._answers = answers
        self._file = None
        self.number = 0

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = LINES) -> tuple[int, str]:
        """Status and Location of the reply; 0 if the connection broke."""
        head = f"{method} /{self.login}{path}{self._head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            if self._file is None:
                sock = socket.create_connection(self._address, timeout=60)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._file = sock.makefile("rwb", buffering=1 << 16)
            self._file.write(head.encode() + body)
            self._file.flush()
            status, place = self._reply(method)
        except (OSError, ValueError):
            self._file, status, place = None, 0, ""
        self._answers[status] += 1
        return status, place

    def _reply(self, method: str) -> tuple[int, str]:
        status = int(self._file.readline().split()[1])
        size, place, ends = 0, "", False
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            size = int(value) if name.lower() == "content-length" else size
            place = value.strip() if name.lower() == "location" else place
            ends = ends or (name.lower(), value.strip().lower()) == ("connection", "close")
        if method != "HEAD":
            self._file.read(size)
        if ends:
            self._file = None
        return status, place


def send_job(peer: Peer) -> None:
    status, place = peer.ask("POST", "/jobs", json.dumps({"phases": [{"exec": TASK}]}).encode(), JSON)
    if status == 201:
        peer.ask(
            "POST", f"{place.removeprefix(f'/{peer.login}')}/live/in?end=true", f"/{peer.login}/stor/any\n".encode()
        )


def send_inputs(peer: Peer) -> None:
    status, place = peer.ask("POST", "/jobs", json.dumps({"phases": [{"exec": "sleep 1"}]}).encode(), JSON)
    lines = f"/{peer.login}/stor/any\n".encode() * 20_000
    while status in (201, 204):
        status, _ = peer.ask("POST", f"{place.removeprefix(f'/{peer.login}')}/live/in", lines)


def send_bytes(peer: Peer) -> None:
    peer.number += 1
    name = f"/stor/{threading.get_ident()}-"
    if peer.ask("PUT", f"{name}{peer.number}", b"\xa5" * (4 << 20))[0] >= 400:
        peer.ask("DELETE", f"{name}{peer.number - 10}")


def send_request(peer: Peer) -> None:
    peer.ask("HEAD", "/stor/any")


# What each does again and again, and on how many connections.
FLOODS: dict[str, tuple[Callable[[Peer], None], int]] = {
    "jobs": (send_job, 8),
    "inputs": (send_inputs, 4),
    "bytes": (send_bytes, 4),
    "requests": (send_request, 32),
}


def stand_back() -> None:
    """Give this process the least share of the processors.

    The kernel may share them among sessions first, and then a niceness counts within its session only. So the process
    begins a session, and makes that nice, too.
    """
    os.setsid()
    os.nice(19)
    with contextlib.suppress(OSError):  # a kernel without groups by session
        Path("/proc/self/autogroup").write_text("19")


def flood(name: str) -> None:
    """One flooding client, as a process of its own; ends when its standard input does, and prints its answers."""
    stand_back()
    told = json.loads(sys.stdin.readline())
    step, connections = FLOODS[name]
    answers: Counter[int] = Counter()
    end, stop = time.monotonic() + SECONDS, threading.Event()

    def send() -> None:
        peer = Peer(told["url"], told["login"], told["token"], answers)
        while not stop.is_set() and time.monotonic() < end:
            step(peer)

    for _ in range(connections):
        threading.Thread(target=send, daemon=True).start()
    sys.stdin.read()
    stop.set()
    print(json.dumps(answers), flush=True)
    os._exit(0)


@contextlib.contextmanager
def flooding(mallory: User, token: str, names: list[str]) -> Iterator[list[str]]:
    """The floods, until the block ends; then what each was answered."""
    told = {"url": mallory.session.settings.url, "login": mallory.login, "token": token}
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = {name: subprocess.Popen([sys.executable, __file__, "--flood", name], **options) for name in names}
    answers: list[str] = []
    for process in running.values():
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
    try:
        yield answers
    finally:
        for name, process in running.items():
            try:
                said, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            found = sorted(json.loads(said or "{}").items())
            answers.append(f"{name}: " + ", ".join(f"{count} x {status}" for status, count in found))


def clear(mallory: User) -> None:
    """End what mallory has running, and wait for it, so that what follows begins as the first flood did."""
    time.sleep(2)  # so that the rate of requests lets us in
    for job in [job["name"] for job in mallory.jobs.listing(state="running")]:
        with contextlib.suppress(Refused):  # it has ended meanwhile
            mallory.jobs.cancel(job)
        mallory.wait(job, lambda status: "timeArchiveDone" in status)


def run(service: Service, options: argparse.Namespace) -> int:
    with neighbour(service) as bob, neighbour(service, "mallory") as mallory:
        words = [word for limit in options.limits for word in ("--limit", limit)]
        service.run("remora", "user", "set", "mallory", *words)
        name = bob.put("short", b"fine\n")
        mallory.put("any", b"x\n")
        token = json.loads(mallory.session.call("POST", "/mallory/tokens").content)["token"]
        measure(bob, name, 10)
        print(f"{'job, while':28}{'median':>9}{'nine of ten':>14}{'slowest':>11}")
        quiet, worst = tell("quiet", measure(bob, name, options.rounds)), 0.0
        rounds = [[each] for each in options.floods]
        for names in [*rounds, options.floods] if len(rounds) > 1 else rounds:
            with flooding(mallory, token, names) as answers:
                time.sleep(options.settle)
                took = tell("all" if len(names) > 1 else names[0], measure(bob, name, options.rounds))
            clear(mallory)
            before, quiet = quiet, tell("quiet again", measure(bob, name, options.rounds))
            times = took / statistics.mean((before, quiet))
            worst = max(worst, times)
            print(f"{times:8.2f} times as long", *answers, sep="\n    ", flush=True)
    words = Counter(json.loads(line)["msg"] for line in service.log.read_text().splitlines() if line[:1] == "{")
    print("; ".join(f"{count} x {message}" for message, count in words.most_common(8)))
    print(f"at worst {worst:.2f} times as long as alone (bar {options.bar:g})")
    return 1 if worst > options.bar else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="process")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--bar", type=float, default=2.0)
    parser.add_argument("--settle", type=float, default=12.0, help="seconds between a flood's begin and measuring")
    parser.add_argument("--limits", nargs="*", default=list(LIMITS), help="of the account that floods")
    parser.add_argument("--floods", nargs="+", choices=FLOODS, default=list(FLOODS))
    parser.add_argument("--flood", choices=FLOODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        flood(options.flood)
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        service = Service(Path(directory) / "state", ("--slots", str(SLOTS), "--provider", options.provider)).start()
        try:
            return run(service, options)
        finally:
            service.stop()


if __name__ == "__main__":
    sys.exit(main())
