"""Peers: programs of other people if they are installed, and small ones in C that are compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.measure import SkippedError

SOURCES = Path(__file__).parent


def compiled(name: str, into: Path) -> str:
    """Path of the program made of `name`.c, built once a run. Raises SkippedError without a compiler."""
    program = into / name
    if not program.exists():
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise SkippedError(f"no C compiler for {name}.c")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, SOURCES / f"{name}.c"], check=True)
    return str(program)


def installed(name: str) -> str:
    """Path of somebody else's program. Raises SkippedError if it is not here."""
    path = shutil.which(name)
    if path is None:
        raise SkippedError(f"{name} is not installed")
    return path
