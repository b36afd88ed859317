"""The lists of a job, printed as they come: inputs, outputs, failures are names, errors are JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from cli import text
from cli.jobs.common import ids, jobs
from cli.output import null_option, print_name

Function = TypeVar("Function", bound=Callable[..., Any])


def null_names(function: Function) -> Function:
    return null_option("End each name with NUL instead of a line break.", "--print0")(function)


def print_names(operands: Sequence[str], kind: str, *, as_json: bool, null: bool) -> None:
    """The names in list `kind` (`in`, `out`, `fail`) of each job. Lists may be longer than memory: one at a time."""
    for line in lines(operands, kind):
        if as_json:
            print(text.compact(line.decode("utf-8", "replace")))
        else:
            print_name(line.decode("utf-8", "surrogateescape"), null=null)


def print_records(operands: Sequence[str]) -> None:
    """The error records of each job, as the service gives them."""
    for line in lines(operands, "err"):
        print(text.in_json(line.decode("utf-8", "surrogateescape")))


def lines(operands: Sequence[str], kind: str) -> Iterator[bytes]:
    with jobs() as mine:
        for job in ids(mine, operands):
            yield from mine.records(job, kind)
