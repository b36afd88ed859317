"""Standard output of a command, where names that strangers chose meet a terminal or a program.

Two readers are misled by a name. A terminal obeys control characters, so that a listing could rewrite the screen. A
program takes each line for one name, so that a directory `a⏎` with `b` in it would stand for two objects. Hence:

- On a terminal stdout is a `Terminal`: whatever a command prints, control characters and changes of the direction of
  writing are shown as escapes. This holds for all commands, those that are still to be written too.
- A name is printed by `print_name`. On a terminal it is escaped to one line. In a pipe or a file it is written as it
  is; but a name with a line break is left out there, a sentence on stderr says so, and the command ends with 1. With
  `-0` names end in NUL instead, and none is left out.

The contents of objects (`mget`, `mjob cat`) are no names, and are written byte by byte.

Example: `/bob/public/a⏎/jill/stor/secret` is `/bob/public/a\\n/jill/stor/secret` on a terminal, missing from
`mfind /bob/public | mjob create`, and one input of `mfind -0 /bob/public | xargs -0`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.client.problem import Problem
from cli.text import count, escape, printable

Function = TypeVar("Function", bound=Callable[..., Any])
LEFT_OUT = "names that were left out"
SHOWN = 120  # characters of such a name in the sentence about it


class Terminal(io.TextIOWrapper):
    """A terminal that gets nothing to obey. Line breaks and tabs are as they are."""

    def write(self, text: str, /) -> int:
        super().write(printable(text))
        return len(text)


def prepare() -> None:
    """Make stdout what the module says. Names are UTF-8, whatever the locale; other bytes pass through a pipe."""
    open_streams()
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.isatty():
        sys.stdout.flush()
        raw = open(sys.stdout.fileno(), "wb", closefd=False)  # noqa: SIM115 (open until the end)
        sys.stdout = Terminal(raw, encoding="utf-8", errors="replace", line_buffering=True)
    else:
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


class ClosedInput(io.RawIOBase):
    """Standard input of a command that was started without one (`<&-`): to read it is an error, not an empty input."""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        raise Problem("standard input is closed")

    def readinto(self, _buffer: object) -> int:
        raise Problem("standard input is closed")


def open_streams() -> None:
    """Give the command the standard streams that it was started without.

    Their descriptors are taken by /dev/null: a socket that got number 1 would be sent what is printed.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY)  # the lowest that is free
            raw = ClosedInput() if name == "stdin" else io.FileIO(descriptor, "wb", closefd=False)
            buffered = io.BufferedReader(raw) if name == "stdin" else io.BufferedWriter(raw)
            setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape"))
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def null_option(help_text: str, *names: str) -> Callable[[Function], Function]:
    """`-0`; the function gets `null`."""
    return click.option("-0", *names, "null", is_flag=True, help=help_text)


def print_name(line: str, *, null: bool = False) -> None:
    """Print a name, or a line of which a name is part, as the module says."""
    if null:
        sys.stdout.write(f"{line}\0")
    elif isinstance(sys.stdout, Terminal):
        print(escape(line))
    elif "\n" in line or "\r" in line:
        leave_out(line)
    else:
        print(line)


def leave_out(name: str) -> None:
    """Remember that a name does not fit into a line: `left_out` says it at the end of the command."""
    meta = click.get_current_context().meta
    number, first = meta.get(LEFT_OUT, (0, name[:SHOWN]))
    meta[LEFT_OUT] = number + 1, first


def left_out(context: click.Context) -> str | None:
    """The sentence about names that were left out; None if there are none."""
    number, first = context.meta.get(LEFT_OUT, (0, ""))
    if not number:
        return None
    return f'{count(number, "name")} with a line break left out, the first is "{escape(first)}"'
