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

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scheduler.model.credentials.httpsig import PublicKey
from tests.conformance.clients import COMMANDS, PINNED, Both, cache, install, untested
from tests.support.services.forks import USUAL
from tests.support.services.gateway import KEYS, public_line
from tests.support.services.service import Service


@pytest.fixture(scope="session")
def published() -> Path:
    """The directory of the published client's commands."""
    if shutil.which("node") is None:
        untested("node is not on PATH (Debian: apt-get install nodejs npm)")
    place = cache(*PINNED)
    if not (place / COMMANDS).is_dir():
        if shutil.which("npm") is None:
            untested("npm is not on PATH (Debian: apt-get install npm)")
        install(place)
    return place / COMMANDS


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
    return Both(published, {**USUAL, "HOME": str(home), "TZ": "UTC", **manta})
