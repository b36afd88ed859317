"""A real `remora up` in a directory of its own, and its commands, for one test or a few."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.services.forks import command, run_command, start_command
from tests.support.services.records import ENGINE, database_at

READY_SECONDS = 60.0
# See tests/support/nodes/containers.py.
PROVIDER = os.environ.get("REMORA_TEST_PROVIDER", "process")
PROVIDED = ("--provider", PROVIDER)


@dataclass
class Service:
    """A service on `state_dir`. The environment of its commands has no MANTA_* of the outside."""

    state_dir: Path
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # a command that starts it, as another user say
    process: subprocess.Popen[str] | None = None
    url: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MANTA_", "REMORA_", "PYTHON"))}
        self.env = clean | {"REMORA_STATE_DIR": str(self.state_dir), "COLUMNS": "100"}
        if ENGINE == "postgresql":
            self.env["REMORA_DATABASE"] = str(self.database)

    @property
    def database(self) -> str | Path:
        """Its records, as `open_database` takes them."""
        return database_at(self.state_dir / "remora.db")

    @property
    def log(self) -> Path:
        return self.state_dir.with_suffix(".log")

    def start(self) -> Service:
        """Start, and return when it says that it is up. The log is kept beside the state directory."""
        with open(self.log, "a") as log:
            words = ("remora", "up", "--state-dir", str(self.state_dir), "--port", "0", *PROVIDED, *self.options)
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": log, "text": True}
            if self.prefix:
                whole = [*self.prefix, *command(*words)]
                self.process = subprocess.Popen(whole, env=self.env, start_new_session=True, **streams)
            else:
                self.process = start_command(*words, env=self.env, start_new_session=True, **streams)
        if (url := said_url(self.process)) is not None:
            self.url = url
            return self
        self.kill()
        raise RuntimeError(f"the service did not come up: {self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Ctrl-C, and wait; its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(30)
        finally:
            self.process.stdout.close()
            self.process = None

    def kill(self) -> None:
        """SIGKILL to every process of the service at once, as a power switch would."""
        if self.process is None:
            return
        end_all(self.process)
        self.process.stdout.close()
        self.process = None

    def run(self, name: str, *words: str, stdin: str | bytes = b"", check: bool = True, seconds: float = 120):
        """Run a command of ours against this service; the finished process, output in bytes."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = run_command(name, *words, env=self.env, data=data, seconds=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"{name} {' '.join(words)} ended with {done.returncode}: {done.stderr.decode()}")
        return done

    def text(self, name: str, *words: str, **options) -> str:
        """Standard output of a command, as text."""
        return self.run(name, *words, **options).stdout.decode()


@contextlib.contextmanager
def serving(state: Path, *options: str) -> Iterator[Service]:
    """A service with these options of `remora up`, for the length of a block; it must end well."""
    running = Service(state, options).start()
    try:
        yield running
    finally:
        status = running.stop()
    assert status == 0, f"the service ended with {status}: {running.log.read_text()[-3000:]}"


def said_url(process: subprocess.Popen[str]) -> str | None:
    """The first URL that a process prints; None if it ends before, or has to be ended since it prints none."""
    assert process.stdout is not None
    patience = threading.Timer(READY_SECONDS, end_all, [process])
    patience.start()
    try:
        words = (word for line in process.stdout for word in line.split())
        return next((word.rstrip("/.,") for word in words if "://" in word), None)
    finally:
        patience.cancel()
        patience.join()


def end_all(process: subprocess.Popen[Any]) -> None:
    """SIGKILL to a process and all below it, unless it has ended: its number may be another's by now."""
    if process.poll() is None:
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait(30)


def descendants(pid: int) -> list[int]:
    """All processes below one, nearest first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        at = queue.pop(0)
        try:
            threads = os.listdir(f"/proc/{at}/task")
            children = [c for t in threads for c in Path(f"/proc/{at}/task/{t}/children").read_text().split()]
        except OSError:
            continue
        new = [int(child) for child in children]
        found += new
        queue += new
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def agents_below(pid: int) -> list[int]:
    """The processes below one that are agents."""
    return [each for each in descendants(pid) if "scheduler.agent" in command_line(each)]


def processes_with(text: str) -> list[int]:
    """Processes whose command line contains `text`."""
    others = (int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid())
    return [pid for pid in others if text in command_line(pid)]


def command_line(pid: int) -> str:
    """The words of a process's command; empty if it is gone."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
    except OSError:
        return ""
