"""Pour inputs into jobs: names in batches, from a job's list or, one a line, from stdin.

A batch is sent when it is full, or when stdin has nothing more just now: `mfind` may take its
time, and what it has found so far can be worked on meanwhile. Several batches are under way at
once, and reading waits while there are too many, so memory holds a few batches, never all.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from cli.client import paths
from cli.frame import note
from cli.output import leave_out
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

READ = 64 * 1024
LULL_SECONDS = 0.2  # a stdin that has been silent for so long gets what it said sent


def pour(mine: Jobs, targets: list[str], batches: Iterable[list[bytes]], *, parallel: int, quiet: bool) -> int:
    """Add every batch of names to all jobs in `targets`; how many names there were. Raises `Problem`."""

    def send(job: str, batch: list[bytes]) -> None:
        mine.add_inputs(job, batch)
        if not quiet:
            note(f"added {count(len(batch), 'input')} to {job}")

    names = 0
    pool = ThreadPoolExecutor(parallel)
    try:
        under_way: set[Future[None]] = set()
        for batch in batches:
            names += len(batch)
            for job in targets:
                under_way.add(pool.submit(send, job, batch))
            while len(under_way) >= parallel:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        for future in under_way:
            future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # a request may be waiting for the service for long
        raise
    pool.shutdown()
    return names


def typed(source: int, size: int, home: str, *, null: bool) -> Iterator[list[bytes]]:
    """What a descriptor says, as names, in batches of `size`; `~~` is expanded to `home`."""
    for batch in batches(source, size, null=null):
        yield [expanded(line, home) for line in batch]


def expanded(line: bytes, home: str) -> bytes:
    """A line as the path that it means; bytes that are not UTF-8 pass as they are."""
    return paths.expand(line.decode("utf-8", "surrogateescape"), home).encode("utf-8", "surrogateescape")


def batches(source: int, size: int, *, null: bool = False) -> Iterator[list[bytes]]:
    """The non-empty names of a descriptor, lines or with `null` ended by NUL; fewer after a lull or at the end.

    A line may end in CR LF. A name with a line break inside would be several inputs to the service: it is left out.
    """
    end = b"\0" if null else b"\n"
    batch: list[bytes] = []
    rest = b""
    while True:
        if batch and not select.select([source], [], [], LULL_SECONDS)[0]:
            yield batch
            batch = []
        data = os.read(source, READ)
        *lines, rest = (rest + data).split(end)
        if not data and rest:
            lines, rest = [rest], b""
        for line in lines:
            if not null:
                line = line.removesuffix(b"\r")
            if b"\r" in line or b"\n" in line:
                leave_out(line.decode("utf-8", "replace"))
            elif line:
                batch.append(line)
            if len(batch) >= size:
                yield batch
                batch = []
        if not data:
            break
    if batch:
        yield batch
