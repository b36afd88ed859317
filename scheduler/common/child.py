"""Starting other programs, in a safe directory and by paths that do not depend on the current one.

An operator starts the service in some current directory, perhaps one with another user's files. Three mechanisms would
let files of that directory run as the operator:

- Python puts the current directory before its own library with `-m` and `-c`. `PYTHON` is the interpreter with `-P`,
  which ends that; of the variables named PYTHON… a child gets none but the absolute parts of PYTHONPATH.
- A part of PATH that is empty or relative means the current directory. `PATH` has the absolute parts only, and after
  them the places of the system's own programs, which an ordinary user's PATH lacks.
- A program may look for its files in its current directory. A child starts in `/` unless the caller says otherwise; so
  a path in its arguments must be absolute.

Nothing else in the project starts a process: `./dev lint` refuses it (`banned-api` in pyproject.toml).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SAFE = "/"
SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PYTHON = (sys.executable, "-P")
Word = str | Path
Process = subprocess.Popen[Any]


def absolute(path: str, *more: str) -> str:
    """The parts of a search path that do not depend on the current directory, then `more`."""
    return ":".join([*(part for part in path.split(":") if part.startswith("/")), *more])


PATH = absolute(os.environ.get("PATH", os.defpath), *SYSTEM)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: the safe part of ours, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if packages := absolute(os.environ.get("PYTHONPATH", "")):
        kept["PYTHONPATH"] = packages
    return {**kept, "PATH": PATH, **more}


def find(program: str) -> str | None:
    """The path of a program, or None."""
    return shutil.which(program, path=PATH)


def run(command: Sequence[Word], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Like `subprocess.run`, with safe options. Raises OSError if there is no such program."""
    return subprocess.run(command, **safe(options))  # noqa: S603 (this is the one place that may)


def start(command: Sequence[Word], **options: Any) -> Process:
    """Like `subprocess.Popen`, with safe options. Raises OSError."""
    return subprocess.Popen(command, **safe(options))  # noqa: S603 (this is the one place that may)


async def spawn(*command: Word, **options: Any) -> asyncio.subprocess.Process:
    """Like `asyncio.create_subprocess_exec`, with safe options. Raises OSError."""
    return await asyncio.create_subprocess_exec(*command, **safe(options))


def safe(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a start, with a safe directory and environment where they give none."""
    given = {"cwd": SAFE, **options}
    if "env" not in given:
        given["env"] = environment()
    if "stdin" not in given and "input" not in given:
        given["stdin"] = subprocess.DEVNULL
    return given


__all__ = ["PATH", "PYTHON", "Process", "absolute", "environment", "find", "run", "spawn", "start"]
