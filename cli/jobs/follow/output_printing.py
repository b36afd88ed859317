"""Outputs of a job for the user: printed one after another, labelled, in the order of the inputs, or as files.

The service lists outputs as their tasks end. What an output came from is in its name: `/jill/jobs/ID/stor` + the job
input + `.PHASE.TASK` (see `scheduler.model.naming`). So each output has a label: that input, `reduce` for what a
reducer printed, or the whole name where a task chose the name itself.

- `--tag` begins each line with the label and a tab, as GNU parallel does.
- `--keep-order` prints in the order of the inputs; then what came from no single input, in the order of the service.
- `--results DIR` writes each output to a file below DIR: `stor/logs/a.log` for the account's own, else the whole path.
  Of several with one label the second is `a.log.2`.

Example: `/jill/jobs/8bd3…/stor/jill/stor/logs/a.log.0.77aa…` has the label `/jill/stor/logs/a.log`.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from scheduler.model import naming

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Function = TypeVar("Function", bound=Callable[..., Any])
MADE = re.compile(r"(.*)\.[0-9]{1,4}\.[0-9a-f]{8}-[0-9a-f-]{27}\Z", re.DOTALL)
SCHEMA = "CREATE TABLE outputs (at INTEGER PRIMARY KEY, label BLOB, name BLOB)"


@dataclass(frozen=True, slots=True)
class Printing:
    """What the options said."""

    tag: bool = False
    keep_order: bool = False
    results: str | None = None


def printing_options(function: Function) -> Function:
    """The options of a `Printing`; `printing_of` makes one of what the function gets."""
    for option in reversed((
        click.option("--tag", is_flag=True, help="Begin each line of output with the input's name and a tab."),
        click.option("--keep-order", is_flag=True, help="Print outputs in the order of the inputs."),
        click.option("--results", metavar="DIR", type=click.Path(),
                     help="Write the outputs to files below DIR, named after the inputs."),
    )):  # fmt: skip
        function = option(function)
    return function


def printing_of(options: dict[str, Any]) -> Printing:
    """Take the options of a `Printing` out of all the options. Raises a usage error."""
    printing = Printing(**{name: options.pop(name) for name in Printing.__slots__})
    if printing.results and (printing.tag or printing.keep_order):
        raise click.UsageError("--results writes files: --tag and --keep-order are for what is printed",
                               click.get_current_context())  # fmt: skip
    return printing


def print_outputs(mine: Jobs, job: str, printing: Printing) -> None:
    """Print or write all outputs of a job as wanted. Raises `Problem`, `OSError`."""
    names: Iterable[bytes] = mine.records(job, "out")
    if printing.keep_order:
        names = ordered(names, mine.records(job, "in"), lambda name: label(mine, job, name))
    if printing.results:
        write_files(mine, job, names, printing.results)
    elif printing.tag:
        print_contents(mine, names, lambda name: label(mine, job, name) + b"\t")
    else:
        print_contents(mine, names)


def print_contents(mine: Jobs, names: Iterable[bytes], tag: Callable[[bytes], bytes] | None = None) -> None:
    """Write the contents of objects to stdout, one after another, each line after its tag. Raises `Problem`."""
    from cli.client import transfer

    sink = sys.stdout.buffer
    for name in names:
        if tag:
            lines = Tagged(tag(name), sink.write)
            transfer.get(mine.session, text(name), lines.write)
            lines.end()
        else:
            transfer.get(mine.session, text(name), sink.write)
    sink.flush()


class Tagged:
    """Puts a tag before each line that is written; the last line is ended."""

    def __init__(self, tag: bytes, write: Callable[[bytes], object]) -> None:
        self._tag, self._write = tag, write
        self._within = False

    def write(self, data: bytes) -> None:
        for line in split_at_lf(data):
            self._write(line if self._within else self._tag + line)
            self._within = not line.endswith(b"\n")

    def end(self) -> None:
        if self._within:
            self._write(b"\n")


def split_at_lf(data: bytes) -> list[bytes]:
    """Lines that end with LF only: a lone CR is within a line."""
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def label(mine: Jobs, job: str, name: bytes) -> bytes:
    """What an output came from, as the module says."""
    whole = text(name)
    base = naming.stor(mine.account, job)
    if not whole.startswith(base) or not (made := MADE.match(whole.removeprefix(base))):
        return name
    return made[1].encode("utf-8", "surrogateescape") if made[1] != "/reduce" else b"reduce"


def ordered(names: Iterable[bytes], inputs: Iterable[bytes], label_of: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """`names` in the order of `inputs`, by their labels; kept in a temporary file, since they may be millions."""
    import sqlite3

    with closing(sqlite3.connect("")) as kept:
        kept.execute(SCHEMA)
        rows = ((label_of(name), name) for name in names)
        kept.executemany("INSERT INTO outputs (label, name) VALUES (?, ?)", rows)
        kept.execute("CREATE INDEX by_label ON outputs (label, at)")
        for one in inputs:
            found = kept.execute("SELECT at, name FROM outputs WHERE label = ? ORDER BY at", (one,)).fetchall()
            yield from (name for _, name in found)
            kept.executemany("DELETE FROM outputs WHERE at = ?", ((at,) for at, _ in found))
        yield from (name for (name,) in kept.execute("SELECT name FROM outputs ORDER BY at").fetchall())


def write_files(mine: Jobs, job: str, names: Iterable[bytes], directory: str) -> None:
    """Write each output to a file of its own below a directory. Raises `Problem`, `OSError`."""
    from cli.client import transfer

    used: Counter[str] = Counter()
    for name in names:
        path = file_of(label(mine, job, name), mine.session.settings.home)
        used[path] += 1
        file = os.path.join(directory, path if used[path] == 1 else f"{path}.{used[path]}")
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as sink:
            transfer.get(mine.session, text(name), sink.write)


def file_of(label: bytes, home: str) -> str:
    """The relative path of the file for a label. Raises `Problem` for what would leave the directory."""
    path = os.fsdecode(label)
    path = path.removeprefix(f"/{home}/").lstrip("/")
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Problem(f"{path!r} cannot be the name of a file")
    return path


def text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
