"""mdu: how much is below directories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli import text
from cli.completion import remote_path
from cli.frame import Command, session
from cli.operands import Failures, each
from cli.output import null_option, print_name
from scheduler.model import names

if TYPE_CHECKING:
    from cli.client.session import Session


@click.command("mdu", cls=Command, context_settings={"help_option_names": ["--help"]})
@click.option("-h", "--human-readable", "human", is_flag=True, help="Sizes like 1.5K, 20M, 3G.")
@click.option("-s", "--summarize", is_flag=True, help="One line for each path, none for what is below.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object per line: path, size, objects.")
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
              help="Listings at once.")  # fmt: skip
@null_option("End each line with NUL instead of a line break.")
@click.argument("where", metavar="[path...]", nargs=-1, shell_complete=remote_path)
def command(where: Sequence[str], human: bool, summarize: bool, as_json: bool, parallel: int, null: bool) -> None:
    """Print the bytes of all objects below each directory, and below the directories in it: size, tab, path.

    Without a path, sums ~~/stor. An object is counted under each of its names (see mln), though its bytes are kept
    once. A path may be a pattern in quotes, see mls.

    \b
    Examples:
      mdu -s -h ~~/stor ~~/public ~~/jobs   what an account has
      mdu ~~/stor | sort -n | tail          the largest directories

    Exit status: 0, or 1 if a path does not exist or may not be listed; the others are printed.
    """
    failures = Failures()
    with session() as client:

        def show(path: str) -> None:
            for name, size, objects in sums(client, path, parallel, failures):
                if summarize and name != path:
                    continue
                if as_json:
                    print(text.compact({"path": name, "size": size, "objects": objects}))
                else:
                    print_name(f"{text.human_size(size) if human else size}\t{name}", null=null)

        each(client, where or ("~~/stor",), show)
    failures.end()


def sums(client: Session, path: str, parallel: int, failures: Failures) -> list[tuple[str, int, int]]:
    """Path, bytes and number of objects of each directory below, sorted, the one that was asked for last."""
    from cli.client import objects
    from cli.client.problem import Problem
    from cli.client.tree import Walk

    found = objects.info(client, path)
    if not found.is_directory:
        return [(path, int(found.headers.get("content-length", 0)), 1)]
    sizes: Counter[str] = Counter({path: 0})
    number: Counter[str] = Counter()
    unseen: list[Problem] = []
    for one in Walk(client, path, parallel, failed=lambda _name, error: unseen.append(error)).results():
        if one.entry["type"] == "directory":
            sizes[one.path] += 0
        else:
            sizes[one.parent] += int(one.entry["size"])
            number[one.parent] += 1
    for directory in sorted(sizes, key=names.depth, reverse=True):
        if directory != path:
            above = names.split(directory)[0]
            sizes[above] += sizes[directory]
            number[above] += number[directory]
    for error in unseen:
        with failures.said():
            raise error
    below = sorted(name for name in sizes if name != path)
    return [(name, sizes[name], number[name]) for name in (*below, path)]
