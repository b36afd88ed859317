"""The lists of a job, printed as they come: inputs, outputs, failures are names, errors are JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cli import text
from cli.jobs.common import ids, jobs


def print_names(operands: Sequence[str], kind: str, *, as_json: bool) -> None:
    """The names in list `kind` (`in`, `out`, `fail`) of each job. Lists may be longer than memory: one at a time."""
    wanted = ids(operands)
    with jobs() as mine:
        for job in wanted:
            for line in mine.records(job, kind):
                if as_json:
                    line = text.compact(line.decode("utf-8", "replace")).encode()
                sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def print_records(operands: Sequence[str]) -> None:
    """The error records of each job, as the service gives them."""
    wanted = ids(operands)
    with jobs() as mine:
        for job in wanted:
            for line in mine.records(job, "err"):
                sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
