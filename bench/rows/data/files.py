"""Many small files into the service, over loopback: `mput -r` against `msync` of Manta's own client.

Both get the same tree, a directory of their own to put it in, and a key that they sign each request with. The peer is
the published client that the conformance tests install (`tests/conformance`); without Node it is left out, and our
figure stands alone.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Bar, Line, Turn, interleave, seconds
from bench.setting import Setting
from tests.conformance.clients import COMMANDS, PINNED, cache

SIZE = 4096
DIRECTORIES = 20


def lines(setting: Setting) -> Iterator[Line]:
    count = setting.size(10_000, 200)
    tree = made(setting.directory("files") / "tree", count)
    numbers = itertools.count()
    home = node_home(setting, setting.directory("files-home"))

    def turn(*words: str) -> Turn:
        def put() -> float:
            goal = f"{setting.home}/files-{next(numbers)}"
            return count / seconds(lambda: run(setting, home, *words, str(tree), goal))

        return put

    what = f"{count:,} files of {SIZE:,} bytes"
    ours = turn(sys.executable, "-c", "from cli.main import mput; mput()", "-q", "-r")
    msync = cache(*PINNED) / COMMANDS / "msync"
    if not (shutil.which("node") and msync.exists()):
        (rate,) = interleave(setting.rounds, ours)
        yield Line(what, "files/s", rate, Bar(goal=1000, absolute=True))
        return
    rate, theirs = interleave(setting.rounds, ours, turn("node", str(msync), "-q"))
    yield Line(what, "files/s", rate, Bar(goal=1000, absolute=True))
    yield Line(what, "files/s", rate, Bar(bar=1.0), "msync of npm's manta", theirs)


def made(tree: Path, count: int) -> Path:
    for number in range(DIRECTORIES):
        (tree / str(number)).mkdir(parents=True)
    for number in range(count):
        (tree / str(number % DIRECTORIES) / f"{number}.txt").write_bytes(os.urandom(SIZE))
    return tree


def node_home(setting: Setting, home: Path) -> Path:
    """Make a home directory in which Manta's client finds the service's key."""
    key = Path(setting.session.settings.key_file)
    (home / ".ssh").mkdir(mode=0o700)
    shutil.copy(key, home / ".ssh/id_key")
    line = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, check=True).stdout
    (home / ".ssh/id_key.pub").write_bytes(line)
    return home


def run(setting: Setting, home: Path, *words: str) -> None:
    """Run a client to its end, with the service's settings in its environment."""
    known = setting.session.settings
    names = {"MANTA_URL": known.url, "MANTA_USER": known.account, "MANTA_KEY_ID": known.key_id}
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.getcwd(), **names}
    subprocess.run(words, env=env, check=True, stdout=subprocess.DEVNULL)
