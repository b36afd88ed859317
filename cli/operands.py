"""Commands that take many names: each operand by itself, patterns, and the options of bulk commands.

A name that fails does not keep the others from being done: the failure is said in one sentence, and the command ends
with 1 (`Failures`). Only what each other name would meet as well ends it at once: the service cannot be reached.

Example: `mrm ~~/stor/nope '~~/stor/*.tmp'` says that the first is not there, and removes what matches the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cli.client.problem import Problem
from cli.frame import FAILED, operands, say

if TYPE_CHECKING:
    from cli.client.session import Session

FINAL = ("ConnectError", "UsageError")


class Failures:
    """Failures of single names: each is said, the other names are done all the same, and the command ends with 1."""

    def __init__(self) -> None:
        self.any = False

    @contextmanager
    def said(self) -> Iterator[None]:
        """A block whose `Problem` is said and remembered, unless it would be that of each other name as well."""
        try:
            yield
        except Problem as problem:
            if problem.name in FINAL:
                raise
            self.any = True
            say(click.get_current_context(), problem)

    def end(self) -> None:
        if self.any:
            click.get_current_context().exit(FAILED)


def named(client: Session, texts: Sequence[str], failures: Failures, *, relative: bool = True) -> Iterator[str]:
    """The paths that a command's operands stand for, patterns expanded (`client.globs`)."""
    from cli.client.globs import expand

    for operand in operands(texts, client.settings.home, relative=relative):
        found: list[str] = []
        with failures.said():
            found = expand(client, operand)
        yield from found


def each(client: Session, texts: Sequence[str], act: Callable[[str], object], *, patterns: bool = True) -> None:
    """Do `act` for each path that the operands stand for. What fails is said, and the rest goes on."""
    failures = Failures()
    found = named(client, texts, failures) if patterns else operands(texts, client.settings.home)
    for path in found:
        with failures.said():
            act(path)
    failures.end()


def bulk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What all commands for many files have: `quiet`, `progress`, `parallel`, `as_json`."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="With many files: one JSON object for each."),
        click.option("--parallel", type=click.IntRange(1, 256), default=16, show_default=True, metavar="N",
                     help="Transfers at once, of many files."),
        click.option("--progress", is_flag=True, help="A progress line even if stderr is no terminal."),
        click.option("-q", "--quiet", is_flag=True, help="No progress line, no summary."),
    ):  # fmt: skip
        function = decorate(function)
    return function


def follow_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-L`; the function gets `follow`."""
    return click.option("-L", "--follow", is_flag=True, help="Follow symbolic links in directories.")(function)
