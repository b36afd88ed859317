"""A gateway in a thread, and commands run against it as a user's shell would.

The gateway is the real one on a real database; it has a supervisor but no agent, so that
jobs can be created and looked at but nothing runs. `Service.run` starts the command in a
process of its own: what is tested is what a user gets, exit status included.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli.client import objects
from cli.client.paths import expand
from cli.client.session import Session
from cli.client.settings import Options, load
from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.app import Runner
from scheduler.gateway.context import Context
from scheduler.model.credentials.httpsig import PublicKey
from scheduler.objects.blobs import BlobStore
from scheduler.records import accounts
from scheduler.supervisor.job_services import LocalFirstJobService, RecordedJobService
from scheduler.supervisor.supervisor import Supervisor
from tests.support.services.forks import USUAL, start_command
from tests.support.services.records import open_new

LOGIN = "jill"
ROOT = Path(__file__).parents[3]


def clock() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Service:
    """A running service, as commands see it: a home directory with a profile."""

    home: Path

    @cached_property
    def session(self) -> Session:
        """A client in this process, to prepare what a command is to find."""
        return Session(load(Options(), {"REMORA_STATE_DIR": str(self.state)}))

    def close(self) -> None:
        if "session" in self.__dict__:
            self.session.close()

    def put(self, path: str, data: bytes) -> None:
        self.session.call("PUT", expand(path, self.login), body=data)

    def make(self, path: str) -> None:
        objects.make_directory(self.session, expand(path, self.login))

    @cached_property
    def login(self) -> str:
        return str(json.loads((self.state / "client.json").read_text())["user"])

    @property
    def state(self) -> Path:
        """The default state directory of this home."""
        return self.home / ".local/state/remora"

    def start(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command."""
        return start_command(
            *words,
            env={**USUAL, "HOME": str(self.home), "TZ": "UTC", **(env or {})},
            cwd=cwd or self.home,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    def run(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> Result:
        """Run a command to its end."""
        process = self.start(*words, env=env, cwd=cwd)
        out, err = process.communicate(stdin, timeout=60)
        return Result(process.returncode, out.decode(), err.decode())

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        """Run a command that must succeed; its stdout."""
        result = self.run(*words, stdin=stdin)
        assert result.code == 0, result
        return result.out


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def write_key(path: Path) -> str:
    """Make a key pair; `path` gets the private half. The public line."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@contextmanager
def start_remora(home: Path) -> Iterator[Service]:
    """`remora up` in a home directory; ended with Ctrl-C, which must succeed."""
    service = Service(home)
    with (home / "log").open("wb") as log:
        process = service.start("remora", "up", "--port", "0", stderr=log.fileno())
    assert process.stdin and process.stdout
    try:
        assert b"remora is up at http" in process.stdout.readline(), (home / "log").read_text()
        yield service
    finally:
        service.close()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0, (home / "log").read_text()[-2000:]


@contextmanager
def gateway(directory: Path) -> Iterator[Service]:
    """A gateway with one account, whose profile is in the home directory of the commands."""
    home = directory / "home"
    profile = home / ".local/state/remora"
    profile.mkdir(parents=True)
    line = write_key(directory / "own_key")
    started: threading.Event = threading.Event()
    loop = asyncio.new_event_loop()
    url: list[str] = []
    stop = asyncio.Event()

    async def serve() -> None:
        db, blobs = open_new(directory / "remora.db"), BlobStore(directory / "blobs")
        await db.write(lambda c: accounts.create(c, LOGIN, clock()))
        await db.write(lambda c: accounts.add_key(c, LOGIN, line))
        tokens = Tokens(b"x" * 32)
        supervisor = Supervisor(db, blobs, clock, lambda login, job, node: tokens.issue(login, clock(), job, node=node))
        service = LocalFirstJobService(RecordedJobService(db, clock), lambda: supervisor)
        context = Context(db, blobs, clock, b"x" * 32, "test", "agent", lambda: supervisor, service=service)
        await supervisor.start()
        runner = Runner(context)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        started.set()
        await stop.wait()
        await runner.cleanup()
        await supervisor.stop()
        db.close()
        blobs.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(20), "the gateway did not start"
    facts = {
        "url": url[0],
        "user": LOGIN,
        "key_id": PublicKey.parse(line).md5,
        "key_file": str(directory / "own_key"),
    }
    (profile / "client.json").write_text(json.dumps(facts))
    service = Service(home)
    try:
        yield service
    finally:
        service.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
