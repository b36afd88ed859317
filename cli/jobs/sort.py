"""mjob sort: sort the lines of objects, as `LC_ALL=C sort` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli.frame import Command
from cli.jobs import operations, order_check
from cli.jobs.common import jobs
from scheduler.model.keydef import FLAGS
from scheduler.model.operations.stage import MAX_PARTITIONS

Function = TypeVar("Function", bound=Callable[..., Any])
ORDERS = {
    "b": "Leave out blanks before a key.",
    "d": "Only blanks, letters and digits count.",
    "f": "Lower case counts as upper case.",
    "g": "By floating-point numbers, such as 1.5e3.",
    "h": "By numbers with a unit, such as 2K or 1.5G.",
    "i": "Only printable characters count.",
    "M": "By months, JAN to DEC.",
    "n": "By numbers of any length.",
    "r": "Backwards.",
    "V": "By versions: numbers within text count as numbers.",
}
# Letters that are sort's here, and are short for something else in other commands.
TAKEN = {"-k", "-u", "-i", "-n", "-h"}
KEYS_OF_SORT = ("keys", "unique")


class Sort(Command):
    """A command whose letters are those of `sort`: what all commands have in common has long names only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": ["--help"]}
        super().__init__(*args, **kwargs)
        for option in self.params:
            if any(name.startswith("--") for name in option.opts):
                option.opts = [name for name in option.opts if name not in TAKEN or option.name in KEYS_OF_SORT]


def order_options(function: Function) -> Function:
    """The flags of `sort` for keys without flags of their own."""
    for letter in reversed(FLAGS):
        function = click.option(f"-{letter}", f"flag_{letter}", is_flag=True, help=ORDERS[letter])(function)
    return function


@click.command("sort", cls=Sort)
@click.option("-k", "--key", "keys", metavar="KEYDEF", multiple=True, help="A key, as of sort: 2,2n. Repeatable.")
@click.option("-t", "--field-separator", "separator", metavar="SEP", help="The byte between fields.")
@order_options
@click.option("-s", "--stable", is_flag=True, help="Lines with equal keys stay in their order.")
@click.option("-z", "--zero-terminated", "zero", is_flag=True, help="Lines end in NUL.")
@click.option("--header", is_flag=True, help="Each input begins with the same line, which comes first, once.")
@click.option("-c", "--check", "check", is_flag=True, help="Only say which line is the first out of order.")
@click.option("-C", "--check-quietly", "is_silent", is_flag=True, help="The same without saying.")
@click.option("-u", "--unique", is_flag=True, help="Of lines with equal keys only the first.")
@click.option(
    "--partitions",
    type=click.IntRange(1, MAX_PARTITIONS),
    metavar="N",
    help="Sort in N tasks, each a part of the order. [default: by size]",
)
@click.option("--memory", metavar="MB", type=int, help="Memory of an instance: 128, 256, ... 8192. [default: 1024]")
@click.option("--disk", metavar="GB", type=int, help="Its disk, for what memory does not hold. [default: 8]")
@operations.output_options
@operations.run_options
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    keys: Sequence[str],
    inputs: Sequence[str],
    separator: str | None,
    stable: bool,
    unique: bool,
    zero: bool,
    header: bool,
    check: bool,
    is_silent: bool,
    partitions: int | None,
    memory: int | None,
    disk: int | None,
    **options: Any,
) -> None:
    """Sort the lines of the inputs: what `LC_ALL=C sort` makes of the same files and options, byte for byte.

    INPUT is an object, or a directory that ends in a slash: all objects in it. Without INPUT the names are read from
    stdin. -o may name an input. The sorted object appears at once, in the place of the old one, or not at all. A last
    line without a newline gets one.

    What fits into the memory of an instance is sorted by one task. More is divided first: a sample finds the lines
    that divide all others into partitions of about the same size, and each partition is sorted by a task of its own, as
    many at a time as there are instances. --memory says how large they may be, --partitions how many there are.

    With -c nothing is made: the command says which line of the only INPUT is the first that is out of order, or with
    -u the second of two equal ones, and its exit status is 1 then.

    \b
    Examples:
      mjob sort -k2,2 -k1,1n -o ~~/stor/sorted ~~/stor/logs/
      mjob sort -u ~~/stor/a.txt ~~/stor/b.txt
      mjob sort -t, -k2,2nr -o ~~/stor/table.csv ~~/stor/table.csv
      mjob sort --header -t, -k2,2n -o ~~/stor/table.csv ~~/stor/table.csv
      mjob sort -c -k2,2 -k1,1n ~~/stor/sorted
      mjob sort --dry-run --partitions 64 -o ~~/stor/sorted/ ~~/stor/logs/

    Exit status: 0; 1 if the operation failed or was aborted, or a line is out of order (-c). 130 if you stop waiting
    with Ctrl-C; the job goes on.
    """
    flags = "".join(letter for letter in FLAGS if options.pop(f"flag_{letter}"))
    given: dict[str, Any] = {
        "sort_by": list(keys),
        "flags": flags,
        "separator": separator,
        "stable": stable,
        "unique": unique,
    }
    given |= {"zero": zero, "header": header, "partition_count": partitions, "memory": memory, "disk": disk}
    spec = {key: value for key, value in given.items() if value}
    with jobs() as mine:
        run = operations.taken(options, mine.session.settings.home)
        if check or is_silent:
            order_check.perform(mine, spec, inputs, run, says=check)
        else:
            operations.perform(mine, "sort", spec, inputs, run)
