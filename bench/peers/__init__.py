"""Peers: installed programs of others, and small programs in C that are compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import SkippedError

SOURCES = Path(__file__).parent


def compiled(name: str, into: Path) -> str:
    """The path of the program made from `name`.c, built once a run. Raises SkippedError without a compiler."""
    program = into / name
    if not program.exists():
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise SkippedError(f"no C compiler for {name}.c")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, SOURCES / f"{name}.c"], check=True)
    return str(program)


def installed(name: str) -> str | None:
    """The path of an installed program; None if there is none."""
    return shutil.which(name)


def gnu_parallel() -> str | None:
    """The path of GNU parallel, not of another program by that name; None if there is none."""
    path = installed("parallel")
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout if path else ""
    return path if said.startswith("GNU parallel") else None


def missing(name: str) -> SkippedError:
    """The error that a row raises after all lines that it can measure without that program."""
    return SkippedError(f"{name} is not installed, so nothing was compared with it")


@contextmanager
def silent(*descriptors: int) -> Iterator[None]:
    """A block in which nothing that is written to some of this process's descriptors is seen."""
    kept = [os.dup(descriptor) for descriptor in descriptors]
    try:
        with open(os.devnull, "w") as nowhere:
            for descriptor in descriptors:
                os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        for descriptor, copy in zip(descriptors, kept, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
