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


def installed(name: str) -> str | None:
    """Path of somebody else's program, if it is here."""
    return shutil.which(name)


def gnu_parallel() -> str | None:
    """Path of GNU parallel; another program of that name does other things."""
    path = installed("parallel")
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout if path else ""
    return path if said.startswith("GNU parallel") else None


def missing(name: str) -> SkippedError:
    """What a row raises after all lines that it can give without that program."""
    return SkippedError(f"{name} is not installed, so nothing was compared with it")
