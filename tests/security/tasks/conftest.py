"""Instances of every kind that is a process, and tasks in them that run Python."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from datapath.passing import Holds
from tests.support.nodes.lackey_fixtures import instance, mode
from tests.support.nodes.lackey_instance import Instance, Mode

__all__ = ["instance", "mode"]
PYTHON = Path("/usr/bin/python3")
needs_python_on_x86_64 = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86_64"),
    pytest.mark.skipif(not PYTHON.exists(), reason=f"tasks need {PYTHON}"),
]
ASK = """
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
def ask(number, *arguments):
    result = libc.syscall(*[ctypes.c_long(each) for each in (number, *arguments)])
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"
print(json.dumps({name: ask(*call) for name, call in json.loads(CALLS).items()}))
"""


@pytest.fixture
def confined(mode: Mode) -> Iterator[Instance]:
    """One without namespaces, on a kernel that has Landlock."""
    if mode.isolation == "namespaces":
        pytest.skip("that is for instances without namespaces")
    running = Instance(mode)
    if Holds.SIGNALS not in running.ready.holds:
        running.close()
        pytest.skip("the kernel's Landlock keeps no signals apart")
    yield running
    running.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the machine that every user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="sandbox-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def python(instance: Instance, code: str, stdin: int | None = None) -> str:
    """What a task prints that runs `code`."""
    outcome = instance.run(f'exec {PYTHON} -I -S -c "$CODE"', stdin, {"CODE": code})
    assert outcome.code == 0, outcome.stderr
    return outcome.stdout


def ask(instance: Instance, calls: Mapping[str, list[int]], stdin: int | None = None) -> dict[str, str]:
    answers: dict[str, str] = json.loads(python(instance, f"CALLS = {json.dumps(calls)!r}\n{ASK}", stdin))
    return answers
