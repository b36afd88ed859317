"""Joyent's client for Python, as published, against one service: a second witness, of other habits.

It signs with SHA-1 and names no headers, ends each input with CR LF, and sends an MD5 with every object.
It is installed into an environment of its own, from `python-requirements.txt`, and driven by `python_client.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.clients import HERE, SECONDS, Both, cache, run_installer, untested
from tests.support.services.user import User
from tests.support.variants import thorough

pytestmark = thorough  # the clients of Node ask all of it, too
REQUIREMENTS = "python-requirements.txt"
READY = "installed"
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """The Python that has the client."""
    place = cache(REQUIREMENTS) / f"{sys.version_info.major}.{sys.version_info.minor}"
    python = place / "bin/python"
    if not (place / READY).exists():
        try:
            venv.create(place, clear=True, with_pip=True)
        except subprocess.CalledProcessError:
            untested("Python has no ensurepip (Debian: apt-get install python3-venv)")
        words = [str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(HERE / REQUIREMENTS)]
        run_installer(words, place)
        (place / READY).touch()
    return python


@pytest.fixture(scope="module")
def client(interpreter: Path, both: Both) -> Client:
    def run(*words: str) -> Any:
        program = [str(interpreter), "-W", "ignore", str(HERE / "python_client.py"), *words]
        done = subprocess.run(program, env=both.env, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_objects_go_in_and_come_out(client: Client) -> None:
    stor = "/jill/stor/python"
    assert client("objects") == {
        "got": "one\n",
        "listed": ["a", "two"],
        "walked": [stor, f"{stor}/a", f"{stor}/a/b"],
        "kind": "object",
    }
    assert client("refused") == ["404", "ResourceNotFound"]


def test_a_job_runs_and_its_lists_are_understood(client: Client, user: User) -> None:
    client("objects")
    job = client("job")
    user.ended(job)
    found = client("lists", job)
    one, two = "/jill/stor/python/a/one", "/jill/stor/python/two"
    assert (found["state"], found["output"]) == ("done", "one\n")
    assert (found["inputs"], found["failures"]) == ([one, two], [two])
    assert [(error["code"], error["input"]) for error in found["errors"]] == [("UserTaskError", two)]
    assert job in found["named"]
