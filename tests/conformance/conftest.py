"""Manta's own client, as published, and our commands, side by side against one service.

A client that we did not write is the best witness that a script from the days of Manta works
here. So npm's package `manta` is installed as it is, in a cache outside the tree; its exact
version and the hash of everything it needs are pinned by `package-lock.json` beside this file.
Nothing in it is changed, and Node needs no shim. (`npm` links none of its commands, as the
package names only a directory of them: that directory goes on `PATH`.)

Both clients get the same environment and nothing else: a home directory with an RSA key in
`.ssh`, and `MANTA_URL`, `MANTA_USER`, `MANTA_KEY_ID`. The key is the one that `remora up --key`
was told of, so every request carries a real signature.

    both.run("mls", "-l", "~~/stor")      runs the two at the same time; they must say the same

Without Node or the package nothing is tested, and the report says so in capitals.
"""

from __future__ import annotations

import contextlib
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
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scheduler.model.httpsig import PublicKey
from tests.support.gateway import KEYS, public_line
from tests.support.service import Service, command

HERE = Path(__file__).parent
PINNED = ("package.json", "package-lock.json")
COMMANDS = "node_modules/manta/bin"
INSTALL_SECONDS = 300
# Longer than any command here takes, on a machine that does something else as well.
SECONDS = 60


def untested(reason: str) -> NoReturn:
    pytest.skip(f"CONFORMANCE IS NOT TESTED: {reason}")


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    pinned = b"".join((HERE / name).read_bytes() for name in PINNED)
    return Path(base) / "remora-conformance" / hashlib.sha256(pinned).hexdigest()[:16]


def install(place: Path) -> None:
    """Install the package, all of it or nothing. Another run may do the same at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        client = Path(unfinished) / "client"
        client.mkdir()
        for name in PINNED:
            shutil.copy(HERE / name, client)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(words, cwd=client, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            untested(f"npm has not installed the client within {INSTALL_SECONDS} s")
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.lower().startswith("npm err")]
            untested(f"npm cannot install the client: {' '.join(said)[:300]}")
        with contextlib.suppress(OSError):  # the other run was faster
            client.rename(place)


@pytest.fixture(scope="session")
def published() -> Path:
    """The directory of the published client's commands."""
    if shutil.which("node") is None:
        untested("node is not on PATH (Debian: apt-get install nodejs npm)")
    place = cache()
    if not (place / COMMANDS).is_dir():
        if shutil.which("npm") is None:
            untested("npm is not on PATH (Debian: apt-get install npm)")
        install(place)
    return place / COMMANDS


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
        return self._run([str(self.published / name), *words], stdin, env)

    def ours(self, name: str, *words: str, stdin: str = "", **env: str) -> Said:
        """Run a command of ours."""
        return self._run(command(name, *words), stdin, env)

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

    def _run(self, words: list[str], stdin: str, env: dict[str, str]) -> Said:
        done = subprocess.run(
            words, input=stdin.encode(), capture_output=True, env={**self.env, **env}, timeout=SECONDS
        )  # fmt: skip
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def home(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with an RSA key where ssh keeps it. (Asks for `published`: without it, no service.)"""
    home = tmp_path_factory.mktemp("home")
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700)
    private = KEYS["rsa"].private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (ssh / "id_rsa").touch(mode=0o600)
    (ssh / "id_rsa").write_bytes(private)
    (ssh / "id_rsa.pub").write_text(f"{public_line(KEYS['rsa'])}\n")
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    """A running service whose first account has that key."""
    running = Service(home / "state", ("--login", "jill", "--key", str(home / ".ssh/id_rsa.pub")))
    running.env.pop("SSH_AUTH_SOCK", None)
    running.env["HOME"] = str(home)
    running.start()
    try:
        yield running
    finally:
        status = running.stop()
    assert status == 0, f"the service ended with {status}: {running.log.read_text()[-3000:]}"


@pytest.fixture(scope="module")
def both(published: Path, home: Path, service: Service) -> Both:
    manta = {
        "MANTA_URL": service.url,
        "MANTA_USER": "jill",
        "MANTA_KEY_ID": PublicKey.parse(public_line(KEYS["rsa"])).md5,
    }
    return Both(published, {"PATH": os.environ["PATH"], "HOME": str(home), "TZ": "UTC", **manta})
