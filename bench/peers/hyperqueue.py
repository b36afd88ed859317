"""HyperQueue, a task scheduler of its own: its server and one worker in this process, by its Python package.

It is left out where the package is not installed (`pip install hyperqueue`). Its tasks run the same command by bash,
each with a file for its output; it isolates nothing and makes nothing durable.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.peers import silent

CORES = 2
Run = Callable[[str, Path, Sequence[str]], None]


def is_installed() -> bool:
    return importlib.util.find_spec("hyperqueue") is not None


@contextmanager
def cluster(directory: Path) -> Iterator[Run]:
    """A cluster that keeps its files in `directory`; a run of it executes a script for each of some files."""
    package: Any = import_module("hyperqueue")
    config = import_module("hyperqueue.cluster").WorkerConfig(cores=CORES)
    with silent(1):  # a worker prints a table that describes it
        local = package.LocalCluster(str(directory), config)
    with local:
        client = local.client()

        def run(script: str, results: Path, files: Sequence[str]) -> None:
            job = package.Job()
            for file in files:
                command = f"{script} < {file} > {results}/{Path(file).name}"
                job.program(["bash", "-c", command], stdout=None, stderr=None)
            with redirect_stderr(io.StringIO()):  # it draws a progress bar
                client.wait_for_jobs([client.submit(job)])

        yield run
