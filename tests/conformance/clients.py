"""Published clients: where they are installed, and how one of their commands is run beside ours."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.services.forks import run_command

HERE = Path(__file__).parent
PINNED = ("package.json", "package-lock.json")
COMMANDS = "node_modules/manta/bin"
INSTALL_SECONDS = 300
# Longer than any command here takes, on a machine that does something else as well.
SECONDS = 60


def untested(reason: str) -> NoReturn:
    pytest.skip(f"CONFORMANCE IS NOT TESTED: {reason}")


def cache(*pinned: str) -> Path:
    """Where to install what these files beside this one pin."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    content = b"".join((HERE / name).read_bytes() for name in pinned)
    return Path(base) / "remora-conformance" / hashlib.sha256(content).hexdigest()[:16]


def run_installer(words: list[str], directory: Path) -> None:
    """Run a package manager, or skip with what it said."""
    try:
        done = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        untested(f"{words[0]} has not installed the client within {INSTALL_SECONDS} s")
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.lower().startswith(("npm err", "error"))]
        untested(f"{words[0]} cannot install the client: {' '.join(said)[:300]}")


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Installs one at a time: tests of several files want the same package."""
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(place: Path) -> None:
    """Install the package, all of it or nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with alone(place.parent), tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        if place.is_dir():
            return
        client = Path(unfinished) / "client"
        client.mkdir()
        for name in PINNED:
            shutil.copy(HERE / name, client)
        run_installer(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], client)
        client.rename(place)


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    code: int
    out: str
    err: str


def lines(text: str) -> list[str]:
    """Lines whose order means nothing."""
    return sorted(text.splitlines())


@dataclass(frozen=True)
class Both:
    """The two clients in one environment."""

    published: Path
    env: dict[str, str]

    def node(self, name: str, *words: str, stdin: str = "", **env: str) -> Said:
        """Run a command of the published client."""
        words = (str(self.published / name), *words)
        return said(
            subprocess.run(words, input=stdin.encode(), capture_output=True, env={**self.env, **env}, timeout=SECONDS)
        )

    def ours(self, name: str, *words: str, stdin: str = "", **env: str) -> Said:
        """Run a command of ours."""
        return said(run_command(name, *words, env={**self.env, **env}, data=stdin.encode(), seconds=SECONDS))

    def ok(self, name: str, *words: str, stdin: str = "") -> str:
        """What a command of the published client prints. It must succeed, and complain of nothing."""
        said = self.node(name, *words, stdin=stdin)
        assert (said.code, said.err) == (0, ""), said
        return said.out

    def each(self, name: str, *words: str, stdin: str = "", **env: str) -> tuple[Said, Said]:
        """Run a command of both, at the same time: what the published one said, and ours."""
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(run, name, *words, stdin=stdin, **env) for run in (self.node, self.ours)]
            theirs, ours = (one.result() for one in running)
        return theirs, ours

    def run(self, name: str, *words: str, stdin: str = "", shape: Callable[[str], object] = str, **env: str) -> Said:
        """Run a command of both. What they say must be equal, stdout once `shape` has seen it; what it was."""
        theirs, ours = self.each(name, *words, stdin=stdin, **env)
        assert (ours.code, shape(ours.out), ours.err) == (theirs.code, shape(theirs.out), theirs.err)
        return theirs


def said(done: subprocess.CompletedProcess[bytes]) -> Said:
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())
