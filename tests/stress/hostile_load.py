"""One account's one-object job while other people flood the service and ten hostile jobs run: a table.

    python tests/stress/hostile_load.py [--provider process] [--rounds 30] [--bar 5]

First bob's job is timed on a quiet service: created, given one object, its output read. Then it is timed again while

- four clients flood the gateway: anonymous garbage; idle connections and half headers; hostile version ranges and
  names; jobs of 2,000 phases, signed by mallory;
- ten jobs of mallory's run, each of which attacks one thing: slots, CPUs, processes, memory, disk, files, the task's
  door, its connections, the agent's memory, the agent's loop.

The exit status is 1 if the median is more than `--bar` times the quiet one, if the service or its agent was restarted,
or if a job of bob's had an error. What must not happen besides is counted from the service's log: agents lost, and
stalls of an event loop.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.client.problem import Problem
from cli.client.session import Session
from cli.client.settings import Settings
from tests.support.services.neighbour import neighbour
from tests.support.services.service import Service, agents_below
from tests.support.services.user import User
from tests.support.timing.job_times import measure, tell

SLOTS = 4
SECONDS = 600  # a flood ends by itself after so long, whatever becomes of us
IDLE_CONNECTIONS = 3000

# A descriptor whose closing blocks for a minute is sent to the agent, whose event loop must not be what closes it.
LINGER = """
import array, os, socket, struct, time
while True:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        agent.connect(os.environ.get("REMORA_AGENT_SOCKET", "/.remora/agent.sock"))
        agent.sendmsg([b"x" * 12], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))])
    except OSError:
        pass
    time.sleep(0.5)
"""

# Memory in MB, how many inputs, and a script that does not end by itself.
HOSTILE = {
    "all slots": (128, 6 * SLOTS, "sleep 1000"),
    "busy loops": (128, 1, "for i in {1..16}; do while :; do :; done & done; wait"),
    "a fork bomb": (4096, 1, "b() { b | b & }; while :; do b; sleep 1; done"),
    "allocations": (256, 40, "perl -e '$x = \"a\" x (1 << 34)'"),
    "writes": (128, 1, "while :; do head -c 1G /dev/zero > x; rm x; done"),
    "small files": (128, 1, "while :; do for i in {1..2000}; do : > $i; done; rm -f [0-9]*; done"),
    "requests": (256, 1, "while :; do curl -s -o /dev/null $MANTA_URL/$MANTA_USER/stor; done"),
    "connections": (1024, 1, "u=${MANTA_URL#http://}; u=${u%/}; export u; while :; do perl -MIO::Socket -e '"
                    "@s = map { IO::Socket::INET->new(PeerAddr => $ENV{u}, Timeout => 1) } 1 .. 900; sleep 1'; done"),
    "references": (128, 40, "yes ~~/stor/$(printf %0900d 1) | head -n 100000 | xargs -n 1000 mcat"),
    "descriptors": (128, 1, f"python3 -c '{LINGER}'"),
}  # fmt: skip

Flood = Callable[[tuple[str, int], Settings, random.Random], None]


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=2)


def send_garbage(address: tuple[str, int], _: Settings, draw: random.Random) -> None:
    """Anonymous bytes that are no HTTP, or nearly."""
    for _ in range(50):
        with contextlib.suppress(OSError), connect(address) as peer:
            begin = draw.choice([b"", b"GET ", b"PUT /x HTTP/1.1\r\n", b"GET /ping HTTP/1.1\r\nHost: x\r\n"])
            peer.sendall(begin + draw.randbytes(draw.randrange(1, 20_000)))
            peer.recv(1)


HELD: list[socket.socket] = []


def hold_connections(address: tuple[str, int], _: Settings, draw: random.Random) -> None:
    """As many connections as there may be: half of them idle, the others with half a header that grows."""
    while len(HELD) < IDLE_CONNECTIONS:
        try:
            HELD.append(connect(address))
        except OSError:
            break
    for peer in list(HELD[::2]):
        try:
            peer.send(draw.choice([b"GET / HT", b"X-Y: z\r\n"]), socket.MSG_DONTWAIT)
        except OSError:
            HELD.remove(peer)
            peer.close()
    time.sleep(0.2)


def send_hostile_text(address: tuple[str, int], _: Settings, draw: random.Random) -> None:
    """Version ranges, dates, signatures and names that are dear to read."""
    size = draw.randrange(1000, 3500)
    version = draw.choice(["1||" + " " * size + "1 -" + " " * size + "y", "1." * size, "^" * size, "1-" + "a." * size])
    name = draw.choice(["%2e" * (size // 3), "a/" * (size // 2), "%f0%9f" * (size // 6), "~" * size])
    path = draw.choice(["/ping", "/bob/stor/" + name, "/bob/public/" + name, "/bob/jobs?name=" + name])
    with contextlib.suppress(OSError), connect(address) as peer:
        for _ in range(20):
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Version: {version}\r\n\r\n".encode())
            peer.recv(65536)


def create_long_jobs(address: tuple[str, int], settings: Settings, draw: random.Random) -> None:
    """A job of 2,000 phases after the other, rightly signed."""
    phase = {"type": "reduce", "exec": "cat", "count": 128}
    with Session(settings) as session:
        for _ in range(20):
            with contextlib.suppress(Problem):
                session.call("POST", f"/{settings.account}/jobs", body=json.dumps({"phases": [phase] * 2000}).encode())


FLOODS: dict[str, Flood] = {
    "garbage": send_garbage,
    "connections": hold_connections,
    "text": send_hostile_text,
    "phases": create_long_jobs,
}


def flood(name: str, settings: Settings) -> None:
    """One flooding client, as a process of its own; ends when its standard input does."""
    url = urlsplit(settings.url)
    address = (url.hostname or "", url.port or 80)
    draw, end = random.Random(name), time.monotonic() + SECONDS
    os.set_blocking(0, False)
    while time.monotonic() < end and os.getppid() != 1:
        with contextlib.suppress(BlockingIOError):
            if not os.read(0, 1):
                return
        FLOODS[name](address, settings, draw)


@contextlib.contextmanager
def flooding(settings: Settings) -> Iterator[None]:
    told = json.dumps(settings._asdict(), default=str)
    command = [sys.executable, __file__, "--flood"]
    running = [subprocess.Popen([*command, name, "--settings", told], stdin=subprocess.PIPE) for name in FLOODS]
    try:
        yield
    finally:
        for process in running:
            process.stdin.close()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def attacking(mallory: User, only: list[str]) -> Iterator[None]:
    """The hostile jobs, until the block ends."""
    name, jobs = mallory.put("any", b"x\n"), []
    for attack in only:
        memory, inputs, script = HOSTILE[attack]
        job = mallory.create({"exec": f"{{ {script}; }} 2> /dev/null", "memory": memory, "disk": 2})
        for _ in range(inputs):
            mallory.add(job, name)
        jobs.append(job)
    try:
        yield
    finally:
        for job in jobs:
            mallory.session.call("POST", f"/{mallory.login}/jobs/{job}/live/cancel")


def processes(service: Service) -> set[int]:
    """The service itself and its agent."""
    assert service.process is not None
    pid = service.process.pid
    return {pid, *agents_below(pid)}


def run(service: Service, options: argparse.Namespace) -> int:
    with neighbour(service) as bob, neighbour(service, "mallory") as mallory:
        name = bob.put("short", b"fine\n")
        measure(bob, name, 5)
        before = processes(service)
        print(f"{'one-object job':28}{'median':>9}{'nine of ten':>14}{'slowest':>11}")
        quiet = tell("quiet", measure(bob, name, options.rounds))
        with attacking(mallory, options.attacks), flooding(mallory.session.settings):
            time.sleep(options.settle)
            loud = tell("flooded, with hostile jobs", measure(bob, name, options.rounds))
        after = processes(service)
    words = Counter(json.loads(line)["msg"] for line in service.log.read_text().splitlines() if line[:1] == "{")
    print(
        f"{loud / quiet:.1f} times as long (bar {options.bar:g}); restarted: {'yes' if before != after else 'nothing'}"
    )
    print("; ".join(f"{count} x {message}" for message, count in words.most_common(12)))
    return 1 if loud > options.bar * quiet or before != after else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="process")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--bar", type=float, default=5.0)
    parser.add_argument("--settle", type=float, default=10.0, help="seconds between the attacks' begin and measuring")
    parser.add_argument("--attacks", nargs="*", choices=HOSTILE, default=list(HOSTILE))
    parser.add_argument("--flood", choices=FLOODS, help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        flood(options.flood, Settings(**json.loads(options.settings)))
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        service = Service(Path(directory) / "state", ("--slots", str(SLOTS), "--provider", options.provider)).start()
        try:
            return run(service, options)
        finally:
            service.stop()


if __name__ == "__main__":
    sys.exit(main())
