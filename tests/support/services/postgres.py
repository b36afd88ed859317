"""A PostgreSQL server of the tests' own: private, unprivileged, gone afterwards.

It lives in a temporary directory, answers on a Unix socket in there and on one loopback port, and ends with the process
that started it. `shared()` is one for a whole test session, which gives a fresh database to whoever asks; who wants
to stop and start a server makes one of his own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from scheduler.records.database import open_database
from tests.support.eventually import eventually_here

PREFIX = "remora-pg-"
ROLE, PASSWORD = "remora", "a secret of the tests"
READY_SECONDS = 60.0
# Nobody needs this data after a power failure.
CARELESS = ("fsync=off", "full_page_writes=off", "autovacuum_naptime=5s", "shared_buffers=64MB", "max_connections=200")
DURABLE = ("fsync=on", "shared_buffers=64MB", "max_connections=200")


class NoPostgresError(Exception):
    """There is no PostgreSQL on this machine."""


def binaries() -> Path:
    """Where the server's programs are. Raises NoPostgresError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise NoPostgresError("THERE IS NO POSTGRESQL ON THIS MACHINE: apt-get install postgresql")


class Postgres:
    """A server in a directory of its own. `start` and `stop` may be called again and again; `remove` ends it all."""

    def __init__(self, settings: Sequence[str] = CARELESS, host: str = "127.0.0.1") -> None:
        self.bin = binaries()
        self.settings = settings
        self.host = host
        self.port = _free_port(host)
        _remove_orphans()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp"))
        self.process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._user = _unprivileged()
        self._make()

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self) -> Postgres:
        """Start, and return when it answers. From a thread that lives on: the server ends with it."""
        options = [*self.settings, f"unix_socket_directories={self.directory}", f"listen_addresses={self.host}",
                   f"port={self.port}", "log_checkpoints=off"]  # fmt: skip
        words = [str(self.bin / "postgres"), "-D", str(self.directory / "data")]
        for option in options:
            words += ["-c", option]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "QUIT", *self._as_user(), *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                process_group=0,  # no Ctrl-C for it; a session of its own would make it an orphan to an agent in here
            )  # fmt: skip
        self._wait()
        return self

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """End it: SIGINT ends the sessions, SIGQUIT is as good as a crash, SIGKILL ends its main process alone."""
        if self.process is not None:
            self.process.send_signal(signal_number)
            self.process.wait(60)
            self.process = None

    def restart(self, signal_number: int = signal.SIGINT) -> None:
        self.stop(signal_number)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str = "postgres", user: str = ROLE, password: str = PASSWORD) -> str:
        """By the loopback port, which asks for the password."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@{self.host}:{self.port}/{database}"

    def local_url(self, database: str = "postgres") -> str:
        """By the socket in its directory, which asks for nothing."""
        return f"postgresql:///{database}?host={self.directory}&port={self.port}&user={ROLE}"

    def create(self) -> str:
        """The URL of a fresh database with today's schema in it."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.local_url(name)

    def drop(self, url: str, force: bool = True) -> None:
        """A database that `create` made is not needed any more; `force` ends the sessions of who uses it still."""
        self.execute(f"DROP DATABASE IF EXISTS {url.split('/')[3].split('?')[0]} {'WITH (FORCE)' if force else ''}")

    def empty(self, options: str = "") -> str:
        """The name of a database with nothing in it."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    def execute(self, sql: str, database: str = "postgres") -> list[tuple]:
        if self.process is not None and (ended := self.process.poll()) is not None:
            raise RuntimeError(f"PostgreSQL has ended with {ended}: {self.log.read_text()[-2000:]}")
        with psycopg.connect(self.local_url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @functools.cached_property
    def _template(self) -> str:
        name = self.empty()
        open_database(self.local_url(name)).close()
        return name

    def _make(self) -> None:
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (self.directory, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self.directory.chmod(0o711)
        subprocess.run(
            ["setpriv", *self._as_user(), str(self.bin / "initdb"), "-D", str(self.directory / "data"), "--no-sync",
             "-U", ROLE, "--pwfile", str(secret), "--auth-local=trust", "--auth-host=scram-sha-256",
             "--encoding=UTF8", "--locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        secret.unlink()

    def _as_user(self) -> list[str]:
        """It refuses to run as root."""
        if self._user is None:
            return []
        return [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups", "--"]

    def _wait(self) -> None:
        assert self.process is not None
        eventually_here(lambda: self.process.poll() is not None or self._answers(), "PostgreSQL answers", READY_SECONDS)
        if self.process.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not come up: {self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.local_url()).close()
            return True
        return False


@functools.cache
def shared() -> Postgres:
    """The one server of this test session. Says loudly if there can be none."""
    try:
        server = Postgres()
    except NoPostgresError as error:
        print(f"\n{error}\n", file=sys.stderr)
        raise
    atexit.register(server.remove)
    return server.start()


@contextlib.contextmanager
def server(settings: Sequence[str] = CARELESS, host: str = "127.0.0.1") -> Iterator[Postgres]:
    """A server for a block of its own."""
    made = Postgres(settings, host)
    try:
        yield made.start()
    finally:
        made.remove()


def _remove_orphans() -> None:
    """Directories of test runs that were killed; their servers went with them."""
    for path in Path("/tmp").glob(f"{PREFIX}*-*"):
        pid = path.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs it, if we are root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("nobody on this machine could run PostgreSQL: it refuses to run as root")


def _free_port(host: str) -> int:
    """One below those that the kernel gives to connections: another test's might have taken it before we listen."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
